# Tuned tables, schedules/tuned/<machine class>.json: every entry is one further kernel, compiled with the entry's
# parameters for the calls of its bucket. What is wrong with a table stops the configuration here; a knob that its kernel
# has not, or a value that its rules forbid, stops the build: the generator program that compiles the entry knows them.
#
#   UPWELL_TUNED   auto: every schedules/tuned/*.json; off: none; or the path of one table, absolute or below the source
#                  directory. The environment variable UPWELL_TUNED gives the value of a new build directory.
#
# What variants.cmake declares (upwell_declare) can be tuned; it also gives upwell_compile and upwell_add_row.
set(tuned_at_first auto)
if (NOT "$ENV{UPWELL_TUNED}" STREQUAL "")
    set(tuned_at_first "$ENV{UPWELL_TUNED}")
endif ()
set(UPWELL_TUNED "${tuned_at_first}" CACHE STRING "Tuned kernels: auto (schedules/tuned/*.json), off, or a table")

# In a script PROJECT_SOURCE_DIR is empty, and the script says.
if (PROJECT_SOURCE_DIR)
    set(upwell_source_directory ${PROJECT_SOURCE_DIR})
endif ()

cmake_path(GET CMAKE_CURRENT_LIST_DIR PARENT_PATH upwell_root)
include(${upwell_root}/operators/windows.cmake)

# The directions of a window operator.
function(upwell_directions_of generator result)
    set(directions forward d_value d_weight)
    if (NOT upwell_window_${generator}_KERNELS)
        set(directions forward d_value)
    endif ()
    set(${result} ${directions} PARENT_SCOPE)
endfunction()

# The name of a compiled kernel of the window family.
function(upwell_window_variant full_name kernel ratio dtype result)
    string(REGEX REPLACE "^0$" "any" ratio "${ratio}")
    string(REGEX REPLACE "^-1$" "few" ratio "${ratio}")
    set(${result} upwell_${full_name}_k${kernel}_r${ratio}_${dtype} PARENT_SCOPE)
endfunction()

function(upwell_full_name generator direction result)
    string(REGEX REPLACE "_(forward)?$" "" full_name ${generator}_${direction})
    set(${result} ${full_name} PARENT_SCOPE)
endfunction()

# Keeps what a tuned kernel of this variant is made from. SOURCE: generator program and the arguments of
# upwell_compile up to its PARAMS, which are last; ROW: the first columns of its rows in the registry; KIND: which
# of the registry's lists, variants or kernels.
set(upwell_declared_fields KIND ROW SOURCE FEATURES CPU_FEATURES)
function(upwell_declare variant)
    cmake_parse_arguments(PARSE_ARGV 1 arg "" "KIND;ROW" "SOURCE;FEATURES;CPU_FEATURES")
    foreach (field IN LISTS upwell_declared_fields)
        set_property(GLOBAL PROPERTY ${variant}.${field} "${arg_${field}}")
    endforeach ()
endfunction()

# ---- Reading.

# <result>: what is in the tables, as autotune/tune/entries.py lists it.
function(upwell_read_tables result)
    execute_process(
        COMMAND ${Python3_EXECUTABLE} -B -m autotune.tune.entries ${ARGN} WORKING_DIRECTORY ${upwell_root}
        OUTPUT_VARIABLE lines ERROR_VARIABLE problem RESULT_VARIABLE status OUTPUT_STRIP_TRAILING_WHITESPACE
    )
    if (NOT status EQUAL 0)
        message(FATAL_ERROR "${problem}")
    endif ()
    string(REPLACE "\n" ";" lines "${lines}")
    set(${result} "${lines}" PARENT_SCOPE)
endfunction()

# The variant that an entry tunes. Its knobs are checked by the generator program that compiles it.
function(upwell_tuned_variant result where class kernel direction size ratio dtype)
    get_property(kind GLOBAL PROPERTY "upwell_${kernel}_float32.KIND")
    if (kernel IN_LIST upwell_window_operators)
        upwell_directions_of(${kernel} known)
    elseif (kind STREQUAL "kernels")
        set(known -)
    else ()
        message(FATAL_ERROR "${where}: kernel '${kernel}' is unknown")
    endif ()
    if (NOT direction IN_LIST known)
        list(JOIN known ", " known)
        message(FATAL_ERROR "${where}: direction should be one of ${known} but is ${direction}")
    elseif (class MATCHES "^x86" AND dtype MATCHES "float16$")
        message(FATAL_ERROR "${where}: dtype ${dtype} has kernels for GPUs only, but the class is ${class}")
    endif ()
    set(variant upwell_${kernel}_${dtype})
    if (NOT kind STREQUAL "kernels")
        upwell_full_name(${kernel} ${direction} name)
        upwell_window_variant(${name} ${size} ${ratio} ${dtype} variant)
    endif ()
    set(${result} ${variant} PARENT_SCOPE)
endfunction()

# ---- Adding.

# The library for kernels of a target; empty: none in this build.
function(upwell_library_for target result)
    set(library "")
    if (target STREQUAL upwell_instruction_set OR (target MATCHES "^avx" AND upwell_instruction_set STREQUAL "all"))
        set(library upwell_runtime)
    elseif (target IN_LIST upwell_gpu_backends)
        set(library ${upwell_library_of_${target}})
    endif ()
    set(${result} "${library}" PARENT_SCOPE)
endfunction()

# The kernel of an entry, its row in the registry, and its line in the table for people.
function(upwell_add_tuned_kernel library target symbol variant bucket parameters)
    foreach (field IN LISTS upwell_declared_fields)
        get_property(${field} GLOBAL PROPERTY ${variant}.${field})
    endforeach ()
    set(backend ${upwell_name_of_${target}})
    set(needs Baseline)
    if (target MATCHES "^avx")
        set(backend Cpu)
        set(needs ${upwell_name_of_${target}})
        list(APPEND FEATURES ${CPU_FEATURES})
    endif ()
    upwell_compile(
        ${library} ${symbol} ${SOURCE} ${parameters} TARGETS ${upwell_${target}} FEATURES user_context ${FEATURES}
    )
    list(POP_FRONT bucket c_least c_most p_least p_most samples threads)
    set(range "(Bucket{{${c_least}, ${p_least}, ${samples}}, {${c_most}, ${p_most}}, ${threads}})")
    upwell_add_row(${library} ${KIND} "${ROW}" ${backend} ${needs} ${symbol} "${range}")
    list(JOIN parameters ", " shown)
    set_property(
        GLOBAL APPEND_STRING PROPERTY upwell_tuned_list
        "| ${symbol} | ${target} | ${c_least} .. ${c_most} | ${p_least} .. ${p_most} | ${samples} : ${threads} | ${shown} |\n"
    )
endfunction()

# One line of upwell_read_tables, after the line of its table.
function(upwell_add_tuned_entry where class target library number kernel direction size ratio dtype)
    list(POP_BACK ARGN parameters)
    string(REPLACE "," ";" parameters "${parameters}")
    set(where "${where}: ${number} (${kernel} ${dtype})")
    upwell_tuned_variant(variant "${where}" ${class} ${kernel} ${direction} ${size} ${ratio} ${dtype})
    get_property(declared GLOBAL PROPERTY ${variant}.KIND)
    if (NOT declared)
        message(STATUS "${where}: left out, this configuration has no ${variant}")
    elseif (library)
        set_property(GLOBAL APPEND PROPERTY ${variant}_${target}_tuned ${number})
        get_property(numbers GLOBAL PROPERTY ${variant}_${target}_tuned)
        list(LENGTH numbers count)
        upwell_add_tuned_kernel(
            ${library} ${target} ${variant}_${target}_tuned_${count} ${variant} "${ARGN}" "${parameters}"
        )
    endif ()
endfunction()

# All tables that UPWELL_TUNED asks for.
function(upwell_add_tuned_tables)
    if (UPWELL_TUNED STREQUAL "off")
        return()
    elseif (UPWELL_TUNED STREQUAL "auto")
        set(depends CONFIGURE_DEPENDS)
        if (CMAKE_SCRIPT_MODE_FILE)  # nothing is configured
            set(depends "")
        endif ()
        file(GLOB tables ${depends} ${upwell_source_directory}/schedules/tuned/*.json)
    else ()
        cmake_path(ABSOLUTE_PATH UPWELL_TUNED BASE_DIRECTORY ${upwell_source_directory} OUTPUT_VARIABLE tables)
    endif ()
    foreach (table IN LISTS tables)
        set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${table})
        if (NOT EXISTS ${table} OR IS_DIRECTORY ${table})
            message(FATAL_ERROR "UPWELL_TUNED should be auto, off or a tuned table but is ${table}")
        endif ()
    endforeach ()
    upwell_read_tables(lines ${tables})
    foreach (line IN LISTS lines)
        string(REPLACE "|" ";" line "${line}")
        list(POP_FRONT line what)
        if (what STREQUAL "table")
            list(POP_FRONT line where class target)
            upwell_library_for(${target} library)
            if (NOT library)
                message(STATUS "${where}: left out, this configuration has no kernels for ${target}")
            endif ()
        else ()
            upwell_add_tuned_entry("${where}" ${class} ${target} "${library}" ${what} ${line})
        endif ()
    endforeach ()
endfunction()
