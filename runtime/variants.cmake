# Which kernels are compiled: the table operator x kernel x ratio x dtype. What it leaves out falls to the general
# kernel (ratio "any"), which exists for every operator and takes any size.
#
#   UPWELL_VARIANTS   minimal: the general kernels only; default: also the ratios of operators/windows.cmake;
#                     all: also K = 7, ratios 3, 6, 12 and 32, and float64 wherever float32 has a kernel of its own
#   UPWELL_OPERATORS  the operators to compile (default: every one)
#   UPWELL_KERNELS    further kernels (taps per side, odd), e.g. "9": general, and at the table's ratios
#   UPWELL_RATIOS     further integer ratios, e.g. "3;6", for every kernel that has ratios of its own
#
# cmake --preset cpu -D UPWELL_RATIOS="3;6" -D UPWELL_OPERATORS="fns;bilinear"
#
# Their schedules are made by hand; tuned.cmake adds kernels that were tuned for calls of some sizes.
include(tuned.cmake)

set(UPWELL_VARIANTS default CACHE STRING "Which kernels are compiled: minimal, default or all")
set_property(CACHE UPWELL_VARIANTS PROPERTY STRINGS minimal default all)
set(UPWELL_OPERATORS ${upwell_window_operators} CACHE STRING "Operators to compile")
set(UPWELL_KERNELS "" CACHE STRING "Further kernels (taps per side)")
set(UPWELL_RATIOS "" CACHE STRING "Further integer ratios")

if (NOT UPWELL_VARIANTS MATCHES "^(minimal|default|all)$")
    message(FATAL_ERROR "UPWELL_VARIANTS should be minimal, default or all but is ${UPWELL_VARIANTS}")
endif ()

set(upwell_avx512 x86-64-linux-avx-avx2-avx512-avx512_skylake-f16c-fma-sse41)
set(upwell_avx2 x86-64-linux-avx-avx2-f16c-fma-sse41)
set(upwell_baseline x86-64-linux)

# CUDA code is made for the least capability that torch's builds for CUDA 13 run on; the driver compiles it for the card.
set(upwell_cuda x86-64-linux-cuda-cuda_capability_75)
set(upwell_opencl x86-64-linux-opencl-cl_doubles)

add_halide_runtime(upwell.halide_runtime TARGETS ${upwell_cuda} ${upwell_avx512} ${upwell_avx2} ${upwell_baseline})
target_link_libraries(upwell_runtime PRIVATE upwell.halide_runtime)
if (TARGET upwell_runtime_opencl)
    add_halide_runtime(upwell.halide_runtime_opencl TARGETS ${upwell_opencl})
    target_link_libraries(upwell_runtime_opencl PRIVATE upwell.halide_runtime_opencl)
    set(upwell_gpu_backends ${upwell_gpu} opencl)
else ()
    set(upwell_gpu_backends ${upwell_gpu})
endif ()

# Of the instruction sets that a kernel is to be compiled for, best first, those of this build, and their Halide targets.
function(upwell_sets_of_build result targets_result)
    set(sets ${ARGN})
    if (NOT upwell_instruction_set STREQUAL "all")
        set(sets "")
        list(FIND upwell_instruction_sets ${upwell_instruction_set} best)
        foreach (set IN LISTS ARGN)
            list(FIND upwell_instruction_sets ${set} place)
            if (place GREATER_EQUAL best)  # the first one that the processor has
                set(sets ${set})
                break()
            endif ()
        endforeach ()
    endif ()
    set(targets "")
    foreach (set IN LISTS sets)
        list(APPEND targets ${upwell_${set}})
    endforeach ()
    set(${result} ${sets} PARENT_SCOPE)
    set(${targets_result} ${targets} PARENT_SCOPE)
endfunction()

# What nobody took from the cache of kernels for 60 days (cmake/compile_kernel.sh).
execute_process(
    COMMAND bash -c [[find "${UPWELL_KERNEL_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/upwell/kernels}" -maxdepth 1 -type f \
        -mtime +60 -regextype posix-extended -regex '.*/[0-9a-f]{40}' -delete]]
    OUTPUT_QUIET ERROR_QUIET
)

# Compiles one function into a library: upwell_compile(<library> <symbol> <generator program> GENERATOR <name> PARAMS
# <name=value>... TARGETS <Halide target>... FEATURES <further features>...). There are more than a thousand: a file each
# and no target, which add_halide_library makes with two more steps.
function(upwell_compile library symbol program)
    cmake_parse_arguments(PARSE_ARGV 3 arg "" "GENERATOR" "PARAMS;TARGETS;FEATURES")
    list(JOIN arg_FEATURES - features)
    list(TRANSFORM arg_TARGETS APPEND -${features}-no_runtime OUTPUT_VARIABLE targets)
    list(JOIN targets "," targets)
    add_custom_command(
        OUTPUT lib${symbol}.a
        COMMAND bash ${PROJECT_SOURCE_DIR}/cmake/compile_kernel.sh ${Halide_VERSION} lib${symbol}.a
                $<TARGET_FILE:${program}> -g ${arg_GENERATOR} -f ${symbol} -n lib${symbol} -e static_library -o .
                target=${targets} ${arg_PARAMS}
        DEPENDS ${program}
        COMMENT "Compiling ${symbol}"
        VERBATIM
    )
    target_link_libraries(${library} PRIVATE ${CMAKE_CURRENT_BINARY_DIR}/lib${symbol}.a)
    set_property(GLOBAL APPEND PROPERTY ${library}_archives lib${symbol}.a)
    string(REPLACE upwell_runtime upwell.halide_runtime halide_runtime ${library})
    foreach (list IN ITEMS PARAMS TARGETS FEATURES)
        list(JOIN arg_${list} "\", \"" arg_${list})
    endforeach ()
    set_property(
        GLOBAL APPEND PROPERTY upwell_compiled
        "\"${symbol}\": {\"program\": \"$<TARGET_FILE:${program}>\", \"generator\": \"${arg_GENERATOR}\", \
\"parameters\": [\"${arg_PARAMS}\"], \"targets\": [\"${arg_TARGETS}\"], \"features\": [\"${arg_FEATURES}\"], \
\"runtime\": \"$<TARGET_FILE:${halide_runtime}>\"}"
    )
endfunction()

# The library that holds the kernels of a GPU backend.
set(upwell_library_of_cuda upwell_runtime)
set(upwell_library_of_opencl upwell_runtime_opencl)
set(upwell_name_of_cuda Cuda)
set(upwell_name_of_opencl OpenCl)
set(upwell_name_of_avx512 Avx512)
set(upwell_name_of_avx2 Avx2)
set(upwell_name_of_baseline Baseline)
set(upwell_name_of_float32 Float32)
set(upwell_name_of_float64 Float64)
set(upwell_name_of_float16 Float16)
set(upwell_name_of_bfloat16 BFloat16)

# A kernel's row in the registry of a library: upwell_add_row(<library> <variants|kernels> <first columns> <backend>
# <needs> <symbol> <bucket>).
set(upwell_macro_of_variants UPWELL_VARIANT)
set(upwell_macro_of_kernels UPWELL_KERNEL)
set(upwell_by_hand std::nullopt)
function(upwell_add_row library kind columns backend needs symbol bucket)
    set_property(
        GLOBAL APPEND_STRING PROPERTY ${library}_${kind}
        "${upwell_macro_of_${kind}}(${columns}, ${backend}, ${needs}, ${symbol}, ${bucket})\n"
    )
endfunction()

# One compiled kernel: upwell_add_variant(fns d_value KERNEL 3 RATIO 4 DTYPE float32 TARGETS avx512 avx2).
# RATIO any is the general one; few the one for any size and few channels, on processors. The last target is the least
# that runs it; without TARGETS it is for GPUs only.
function(upwell_add_variant generator direction)
    cmake_parse_arguments(PARSE_ARGV 2 arg "" "KERNEL;RATIO;DTYPE" "TARGETS")
    upwell_full_name(${generator} ${direction} full_name)
    string(REPLACE "any" "0" ratio "${arg_RATIO}")
    string(REPLACE "few" "-1" ratio "${ratio}")
    upwell_window_variant(${full_name} ${arg_KERNEL} ${ratio} ${arg_DTYPE} variant)
    set(directions "forward=Forward;d_value=DValue;d_weight=DWeight")
    list(FILTER directions INCLUDE REGEX "^${direction}=")
    string(REPLACE "${direction}=" "" direction_name "${directions}")
    set(row "${generator}, ${direction_name}, ${arg_KERNEL}, ${ratio}, ${upwell_name_of_${arg_DTYPE}}")
    set(source upwell.generator GENERATOR ${full_name} PARAMS kernel=${arg_KERNEL} ratio=${ratio} type=${arg_DTYPE})
    set(gpu_backends ${upwell_gpu_backends})
    if (arg_RATIO STREQUAL "few")
        list(TRANSFORM source REPLACE "^ratio=-1$" "ratio=0;few_channels=true")
        set(gpu_backends "")
    endif ()
    # The general kernels copy maps with channels rounded up to whole vectors, which may take more than 2 GiB.
    set(cpu_features "")
    if (ratio EQUAL 0)
        set(cpu_features large_buffers)
    endif ()
    upwell_declare(${variant} KIND variants ROW "${row}" SOURCE ${source} CPU_FEATURES ${cpu_features})

    upwell_sets_of_build(sets targets ${arg_TARGETS})
    if (sets)
        upwell_compile(upwell_runtime ${variant} ${source} TARGETS ${targets} FEATURES user_context ${cpu_features})
        list(GET sets -1 least)
        upwell_add_row(upwell_runtime variants "${row}" Cpu ${upwell_name_of_${least}} ${variant} ${upwell_by_hand})
    endif ()
    foreach (backend IN LISTS gpu_backends)
        set(symbol ${variant}_${backend})
        set(library ${upwell_library_of_${backend}})
        upwell_compile(${library} ${symbol} ${source} TARGETS ${upwell_${backend}} FEATURES user_context)
        upwell_add_row(
            ${library} variants "${row}" ${upwell_name_of_${backend}} Baseline ${symbol} ${upwell_by_hand}
        )
    endforeach ()
    list(JOIN sets ", " target_names)
    set_property(
        GLOBAL APPEND_STRING PROPERTY upwell_variant_list
        "| ${full_name} | ${arg_KERNEL} | ${arg_RATIO} | ${arg_DTYPE} | ${target_names} |\n"
    )
endfunction()

# Every direction of one operator, for all KERNELS x RATIOS x DTYPES.
function(upwell_add_variants generator)
    cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "KERNELS;RATIOS;DTYPES;TARGETS")
    if (NOT generator IN_LIST UPWELL_OPERATORS)
        return()
    endif ()
    upwell_directions_of(${generator} directions)
    foreach (kernel IN LISTS arg_KERNELS)
        foreach (ratio IN LISTS arg_RATIOS)
            foreach (dtype IN LISTS arg_DTYPES)
                foreach (direction IN LISTS directions)
                    upwell_add_variant(
                        ${generator} ${direction} KERNEL ${kernel} RATIO ${ratio} DTYPE ${dtype} TARGETS ${arg_TARGETS}
                    )
                endforeach ()
            endforeach ()
        endforeach ()
    endforeach ()
endfunction()

set(upwell_everywhere TARGETS avx512 avx2 baseline)
set(upwell_wide TARGETS avx512 avx2)

# Any size, any ratio. 16-bit maps have kernels for GPUs only.
foreach (window IN LISTS upwell_window_operators)
    set(kernels ${upwell_window_${window}_KERNELS})
    set(few_float64 "")
    if (kernels)
        list(APPEND kernels ${UPWELL_KERNELS})
        list(REMOVE_DUPLICATES kernels)
    else ()
        set(kernels 1)
        set(few_float64 few)  # those without weights have them for few channels
    endif ()
    upwell_add_variants(${window} KERNELS ${kernels} RATIOS any DTYPES float32 ${upwell_everywhere})
    upwell_add_variants(${window} KERNELS ${kernels} RATIOS few DTYPES float32 ${upwell_everywhere})
    upwell_add_variants(${window} KERNELS ${kernels} RATIOS any ${few_float64} DTYPES float64 TARGETS avx2 baseline)
    upwell_add_variants(${window} KERNELS ${kernels} RATIOS any DTYPES float16 bfloat16)
endforeach ()

# Integer ratios with a kernel of their own: upwell_add_ratios(<window> <taps per side> <ratios>).
function(upwell_add_ratios window kernel)
    set(ratios ${ARGN} ${UPWELL_RATIOS})
    set(dtypes float32)
    if (UPWELL_VARIANTS STREQUAL "all")
        list(APPEND ratios 3 6 12 32)
        list(APPEND dtypes float64)
    endif ()
    list(REMOVE_DUPLICATES ratios)
    upwell_add_variants(${window} KERNELS ${kernel} RATIOS ${ratios} DTYPES ${dtypes} ${upwell_wide})
    upwell_add_variants(${window} KERNELS ${kernel} RATIOS ${ratios} DTYPES float16 bfloat16)
endfunction()

if (NOT UPWELL_VARIANTS STREQUAL "minimal")
    foreach (window IN LISTS upwell_window_operators)
        set(further_kernels ${UPWELL_KERNELS})
        if (UPWELL_VARIANTS STREQUAL "all")
            list(APPEND further_kernels 7)
        endif ()
        list(REMOVE_DUPLICATES further_kernels)
        foreach (entry IN LISTS upwell_window_${window}_RATIOS)
            string(REGEX MATCH "^([0-9]+):(.+)$" matched ${entry})
            set(kernel ${CMAKE_MATCH_1})
            string(REPLACE "," ";" ratios ${CMAKE_MATCH_2})
            upwell_add_ratios(${window} ${kernel} ${ratios})
            list(REMOVE_ITEM further_kernels ${kernel})
        endforeach ()
        if (upwell_window_${window}_KERNELS AND upwell_window_${window}_RATIOS)
            foreach (kernel IN LISTS further_kernels)
                upwell_add_ratios(${window} ${kernel} ${ratios})
            endforeach ()
        endif ()
    endforeach ()
endif ()

# The argument of a kernel, counted from 0, whose map gives the size of a call; the first one where nothing is said:
# upwell_shape_argument(<generator> <index>).
function(upwell_shape_argument generator index)
    set_property(GLOBAL PROPERTY upwell_shape_argument_of_${generator} ${index})
endfunction()
foreach (kernel IN ITEMS moments scores scores_backward statistics)
    upwell_shape_argument(pcdc_upsampled_${kernel} 7)  # query; the key is there as the tables of its upsampling
endforeach ()

# Kernels with sizes and options at run time, for every dtype: upwell_add_kernel(<generator program> <generator>
# [CPU_ONLY] [further features]).
function(upwell_add_kernel program generator)
    set(gpu_backends ${upwell_gpu_backends})
    if (CPU_ONLY IN_LIST ARGN)
        list(REMOVE_ITEM ARGN CPU_ONLY)
        set(gpu_backends "")
    endif ()
    get_property(map GLOBAL PROPERTY upwell_shape_argument_of_${generator})
    if (NOT map)
        set(map 0)
    endif ()
    foreach (dtype IN ITEMS float32 float64)
        set(symbol upwell_${generator}_${dtype})
        set(sets avx2 baseline)
        if (dtype STREQUAL "float32")
            list(PREPEND sets avx512)
        endif ()
        upwell_sets_of_build(sets targets ${sets})
        list(GET sets -1 least)
        set(source ${program} GENERATOR ${generator} PARAMS type=${dtype})
        set(row "${generator}, ${map}, ${upwell_name_of_${dtype}}")
        upwell_declare(${symbol} KIND kernels ROW "${row}" SOURCE ${source} FEATURES ${ARGN})
        upwell_compile(upwell_runtime ${symbol} ${source} TARGETS ${targets} FEATURES user_context ${ARGN})
        upwell_add_row(upwell_runtime kernels "${row}" Cpu ${upwell_name_of_${least}} ${symbol} ${upwell_by_hand})
        foreach (backend IN LISTS gpu_backends)
            set(library ${upwell_library_of_${backend}})
            upwell_compile(
                ${library} ${symbol}_${backend} ${source} TARGETS ${upwell_${backend}} FEATURES user_context ${ARGN}
            )
            upwell_add_row(
                ${library} kernels "${row}" ${upwell_name_of_${backend}} Baseline ${symbol}_${backend}
                ${upwell_by_hand}
            )
        endforeach ()
        set_property(GLOBAL APPEND_STRING PROPERTY upwell_variant_list "| ${generator} | any | any | ${dtype} | every |\n")
    endforeach ()
endfunction()

upwell_shape_argument(pcdc_upsampled_hidden 7)
upwell_shape_argument(pcdc_upsampled_hidden_scores_backward 7)
foreach (generator IN ITEMS guided_filter guided_filter_backward pcdc_collect)
    upwell_add_kernel(upwell.filter_generator ${generator} large_buffers)  # some scratch has the size of the map
endforeach ()
foreach (
    generator IN ITEMS
    pcdc pcdc_backward pcdc_collect_cells pcdc_moments pcdc_scores pcdc_scores_backward pcdc_statistics
    pcdc_upsampled_moments pcdc_upsampled_scores pcdc_upsampled_scores_backward pcdc_upsampled_statistics
    group_stats group_stats_backward
)
    upwell_add_kernel(upwell.filter_generator ${generator})
endforeach ()
foreach (
    generator IN ITEMS
    pcdc_collect_tiles pcdc_hidden pcdc_hidden_moments pcdc_hidden_scores pcdc_hidden_scores_backward pcdc_hidden_statistics
    pcdc_upsampled_hidden pcdc_upsampled_hidden_scores_backward
)
    upwell_add_kernel(upwell.filter_generator ${generator} CPU_ONLY)  # a GPU finds hidden channels anew
endforeach ()
foreach (part IN ITEMS start first reciprocals step finish finish_backward low_gradients kernel_gradient)
    upwell_add_kernel(upwell.inverse_generator wrc_exact_${part} large_buffers)  # some scratch has the size of the map
endforeach ()
foreach (generator IN ITEMS wrc_data wrc_prior wrc_spectral)
    upwell_add_kernel(upwell.inverse_generator ${generator})
    upwell_add_kernel(upwell.inverse_generator ${generator}_backward)
endforeach ()
foreach (mean IN ITEMS "" _mean)
    foreach (pass IN ITEMS "" _statistics _d_query _d_key _d_value)
        upwell_add_kernel(upwell.attention_generator cross_attention${mean}${pass} large_buffers)
    endforeach ()
endforeach ()
foreach (suffix IN ITEMS "" _d_input _d_guide)
    upwell_add_kernel(upwell.colour_generator colour_guided_filter${suffix} large_buffers)  # as guided_filter
endforeach ()
foreach (suffix IN ITEMS "" _d_weight _extended _fold)
    upwell_add_kernel(upwell.listed_generator listed_taps${suffix} large_buffers)
endforeach ()
upwell_add_kernel(upwell.listed_generator scaled_softmax large_buffers)
upwell_add_kernel(upwell.listed_generator scaled_softmax_backward large_buffers)
foreach (suffix IN ITEMS "" _d_value _d_offsets)
    upwell_add_kernel(upwell.sampling_generator sample_at_offsets${suffix})
endforeach ()
foreach (suffix IN ITEMS "" _d_value _d_index)
    upwell_add_kernel(upwell.index_generator index_unpool${suffix})
endforeach ()
upwell_add_kernel(upwell.transposed_generator merge_kernels)
upwell_add_kernel(upwell.tensor_generator contract)
upwell_add_kernel(upwell.tensor_generator pixel_sums)
upwell_add_kernel(upwell.tensor_generator reciprocal_root)
foreach (suffix IN ITEMS "" _d_input _d_weight)
    foreach (stride IN ITEMS "" _2)
        upwell_add_kernel(upwell.transposed_generator transposed_conv${suffix}${stride})
    endforeach ()
endforeach ()

upwell_add_tuned_tables()

# The registry's rows of each library, and the same table for people: <build>/runtime/variants.md.
foreach (library IN ITEMS upwell_runtime upwell_runtime_opencl)
    foreach (kind IN ITEMS variants kernels)
        get_property(rows GLOBAL PROPERTY ${library}_${kind})
        file(CONFIGURE OUTPUT ${CMAKE_CURRENT_BINARY_DIR}/${library}/${kind}.inc CONTENT "${rows}" @ONLY)
    endforeach ()
    get_property(archives GLOBAL PROPERTY ${library}_archives)
    add_custom_target(${library}_kernels DEPENDS ${archives})  # linked as files, which waits for each
endforeach ()
get_property(lines GLOBAL PROPERTY upwell_variant_list)
get_property(tuned_lines GLOBAL PROPERTY upwell_tuned_list)
file(CONFIGURE OUTPUT ${CMAKE_CURRENT_BINARY_DIR}/variants.md CONTENT
"Kernels in this build (UPWELL_VARIANTS=${UPWELL_VARIANTS}); every other size, ratio and mask takes the row `any`.
Kernels for GPUs: ${upwell_gpu}. Instruction sets: ${upwell_instruction_set}.

| operator | kernel | ratio | dtype | targets |
|---|---|---|---|---|
${lines}
Tuned (UPWELL_TUNED=${UPWELL_TUNED}): calls of these sizes take these kernels.

| kernel | target | channels | pixels | samples : threads, at least | parameters |
|---|---|---|---|---|---|
${tuned_lines}" @ONLY)

# How each was compiled, for the tuner (autotune/tune/): <build>/runtime/kernels.json.
get_property(compiled GLOBAL PROPERTY upwell_compiled)
list(JOIN compiled ",\n" compiled)
file(GENERATE OUTPUT ${CMAKE_CURRENT_BINARY_DIR}/kernels.json CONTENT "{\n${compiled}\n}\n")
