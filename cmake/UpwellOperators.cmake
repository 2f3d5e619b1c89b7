# Compiles operators that a project describes itself (docs/new-operator.md) into a shared library, which adds them to
# Upwell's when it is loaded: run("name", ...) has them, torch.ops.upwell.name too.
#
# upwell_add_operators(<library> SOURCES <file>... [KERNELS <taps per side>...] [RATIOS <integer ratio>...]
#                      [DTYPES float32|float64...] [TARGETS avx512|avx2|baseline...] [CUDA])
#
# KERNELS: the descriptions' usual number where none is given. RATIOS have kernels of their own; any size is there in any
# case. TARGETS: instruction sets, the best first; the last is the least that a processor must have. CUDA: kernels for it
# too. What is wrong with a description stops the configuration.

set(upwell_features_of_avx512 x86-64-linux-avx-avx2-avx512-avx512_skylake-f16c-fma-sse41)
set(upwell_features_of_avx2 x86-64-linux-avx-avx2-f16c-fma-sse41)
set(upwell_features_of_baseline x86-64-linux)
set(upwell_features_of_cuda x86-64-linux-cuda-cuda_capability_75)

# What the generator says of the descriptions in a library, for these taps per side.
function(upwell_describe description kernels result)
    get_target_property(generator upwell::generator LOCATION)
    execute_process(
        COMMAND ${generator} --operators ${description} --describe ${kernels}
        OUTPUT_VARIABLE json ERROR_VARIABLE error RESULT_VARIABLE status
    )
    if (NOT status EQUAL 0)
        message(FATAL_ERROR "upwell_add_operators: ${error}")
    endif ()
    set(${result} "${json}" PARENT_SCOPE)
endfunction()

# One kernel of a library; further arguments: targets of one backend.
function(upwell_add_operator_kernel library window direction_name suffix kernel ratio dtype backend)
    string(REGEX REPLACE "^0$" "any" ratio_name ${ratio})
    set(symbol upwell_${window}${suffix}_k${kernel}_r${ratio_name}_${dtype}_${backend})
    set(folder ${CMAKE_CURRENT_BINARY_DIR}/${library}.kernels)
    set(targets "")
    foreach (target IN LISTS ARGN)
        set(features ${upwell_features_of_${target}}-user_context-no_runtime)
        # Maps of any size are copied with channels rounded up to whole vectors, which may take more than 2 GiB.
        if (backend STREQUAL "cpu" AND ratio EQUAL 0)
            string(APPEND features -large_buffers)
        endif ()
        list(APPEND targets ${features})
    endforeach ()
    list(JOIN targets "," targets)
    add_custom_command(
        OUTPUT ${folder}/${symbol}.a
        COMMAND upwell::generator --operators ${folder}/description.so -g ${window}${suffix} -f ${symbol} -n ${symbol}
                -e static_library -o ${folder} target=${targets} kernel=${kernel} ratio=${ratio} type=${dtype}
        DEPENDS ${folder}/description.so upwell::generator
        COMMENT "Compiling ${symbol}"
        VERBATIM
    )
    target_link_libraries(${library} PRIVATE ${folder}/${symbol}.a)
    target_sources(${library} PRIVATE ${folder}/${symbol}.a)
    set(needs Baseline)
    if (backend STREQUAL "cpu")
        list(GET ARGN -1 least)
        string(REGEX REPLACE "^a" "A" needs ${least})
        string(REGEX REPLACE "^b" "B" needs ${needs})
    endif ()
    string(REGEX REPLACE "^f" "F" dtype_name ${dtype})
    string(REGEX REPLACE "^b" "B" dtype_name ${dtype_name})
    string(REPLACE "Bfloat" "BFloat" dtype_name ${dtype_name})
    string(REPLACE "cpu" "Cpu" backend_name ${backend})
    string(REPLACE "cuda" "Cuda" backend_name ${backend_name})
    set_property(
        TARGET ${library} APPEND_STRING PROPERTY UPWELL_DECLARATIONS "extern \"C\" int ${symbol}_argv(void **);\n"
    )
    set_property(
        TARGET ${library} APPEND_STRING PROPERTY UPWELL_ROWS
        "    {\"${window}\", Direction::${direction_name}, ${kernel}, ${ratio}, Dtype::${dtype_name}, \
Backend::${backend_name}, InstructionSet::${needs}, std::nullopt, \"${symbol}\", ${symbol}_argv},\n"
    )
endfunction()

function(upwell_add_operators library)
    cmake_parse_arguments(PARSE_ARGV 1 arg "CUDA" "" "SOURCES;KERNELS;RATIOS;DTYPES;TARGETS")
    if (arg_UNPARSED_ARGUMENTS OR NOT arg_SOURCES)
        message(FATAL_ERROR "upwell_add_operators: SOURCES should be files, but is '${arg_SOURCES}' and there is "
                            "'${arg_UNPARSED_ARGUMENTS}'")
    endif ()
    foreach (number IN LISTS arg_KERNELS arg_RATIOS)
        if (NOT number MATCHES "^[1-9][0-9]*$")
            message(FATAL_ERROR "upwell_add_operators: KERNELS and RATIOS should be positive integers but have '${number}'")
        endif ()
    endforeach ()
    foreach (choice known IN ZIP_LISTS upwell_operator_choices upwell_operator_known)
        string(REPLACE "|" ";" known ${known})
        foreach (given IN LISTS arg_${choice})
            if (NOT given IN_LIST known)
                message(FATAL_ERROR "upwell_add_operators: ${choice} should be among ${known} but has '${given}'")
            endif ()
        endforeach ()
    endforeach ()
    if (NOT arg_DTYPES)
        set(arg_DTYPES float32 float64)
    endif ()
    if (NOT arg_TARGETS)
        set(arg_TARGETS avx512 avx2 baseline)
    endif ()
    list(TRANSFORM arg_SOURCES PREPEND ${CMAKE_CURRENT_SOURCE_DIR}/ REGEX "^[^/]")
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${arg_SOURCES})

    # The descriptions alone say which kernels there are to be.
    set(folder ${CMAKE_CURRENT_BINARY_DIR}/${library}.kernels)
    file(MAKE_DIRECTORY ${folder})
    get_target_property(includes upwell::runtime INTERFACE_INCLUDE_DIRECTORIES)
    list(TRANSFORM includes PREPEND -I)
    set(compile ${CMAKE_CXX_COMPILER} -std=c++20 -fPIC -shared ${includes} ${arg_SOURCES} -o ${folder}/description.so)
    execute_process(COMMAND ${compile} ERROR_VARIABLE error RESULT_VARIABLE status)
    if (NOT status EQUAL 0)
        message(FATAL_ERROR "upwell_add_operators: ${error}")
    endif ()
    upwell_describe(${folder}/description.so "${arg_KERNELS}" operators)

    add_library(${library} SHARED ${arg_SOURCES})
    target_compile_features(${library} PRIVATE cxx_std_20)
    target_link_libraries(${library} PUBLIC upwell::runtime)
    target_link_options(${library} INTERFACE -Wl,--no-as-needed)  # nobody calls it: it adds what it has as it is loaded
    string(JSON count LENGTH "${operators}")
    math(EXPR last "${count} - 1")
    foreach (i RANGE ${last})
        string(JSON usual GET "${operators}" ${i} kernel)
        string(JSON window_count LENGTH "${operators}" ${i} windows)
        math(EXPR last_window "${window_count} - 1")
        foreach (j RANGE ${last_window})
            set(kernels ${arg_KERNELS})
            if (usual STREQUAL "")
                string(JSON kernels GET "${operators}" ${i} windows ${j} side)
            elseif (NOT kernels)
                set(kernels ${usual})
            endif ()
            string(JSON border GET "${operators}" ${i} windows ${j} border)
            set(ratios ${arg_RATIOS})
            if (border STREQUAL "inside")  # where taps move inside, cells differ
                set(ratios "")
            endif ()
            string(JSON window GET "${operators}" ${i} windows ${j} name)
            string(JSON normaliser GET "${operators}" ${i} windows ${j} normaliser)
            foreach (direction suffix IN ZIP_LISTS upwell_direction_names upwell_direction_suffixes)
                string(REPLACE "-" "" suffix "${suffix}")
                if (direction STREQUAL "DWeight" AND normaliser STREQUAL "constant")
                    continue()
                endif ()
                foreach (kernel IN LISTS kernels)
                    foreach (ratio IN ITEMS 0 ${ratios})
                        foreach (dtype IN LISTS arg_DTYPES)
                            upwell_add_operator_kernel(
                                ${library} ${window} ${direction} "${suffix}" ${kernel} ${ratio} ${dtype} cpu
                                ${arg_TARGETS}
                            )
                        endforeach ()
                        if (arg_CUDA)
                            foreach (dtype IN ITEMS ${arg_DTYPES} float16 bfloat16)
                                upwell_add_operator_kernel(
                                    ${library} ${window} ${direction} "${suffix}" ${kernel} ${ratio} ${dtype} cuda cuda
                                )
                            endforeach ()
                        endif ()
                    endforeach ()
                endforeach ()
            endforeach ()
        endforeach ()
    endforeach ()
    get_target_property(declarations ${library} UPWELL_DECLARATIONS)
    get_target_property(rows ${library} UPWELL_ROWS)
    file(
        CONFIGURE OUTPUT ${folder}/registration.cpp
        CONTENT "#include \"runtime/row.h\"\n\nusing namespace upwell;\n\n${declarations}\n\
static const bool added = add_rows({\n${rows}});\n" @ONLY
    )
    target_sources(${library} PRIVATE ${folder}/registration.cpp)
endfunction()
set(upwell_operator_choices DTYPES TARGETS)
set(upwell_operator_known "float32|float64" "avx512|avx2|baseline")
set(upwell_direction_names Forward DValue DWeight)
set(upwell_direction_suffixes - _d_value _d_weight)
