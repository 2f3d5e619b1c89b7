# What a configuration makes of UPWELL_TUNED, with a few variants and without compiling them. Run: cmake -D ROOT=<source
# directory> -D SOURCES=<directory with schedules/> -D Python3_EXECUTABLE=<Python> [-D UPWELL_TUNED=...]
# -P add_tuned_tables.cmake
cmake_minimum_required(VERSION 3.28)
include(${ROOT}/runtime/tuned.cmake)
set(upwell_source_directory ${SOURCES})

set(upwell_name_of_avx512 Avx512)
set(upwell_name_of_avx2 Avx2)
set(upwell_name_of_opencl OpenCl)
foreach (target IN ITEMS avx512 avx2 opencl)
    set(upwell_${target} ${target})
endforeach ()
set(upwell_gpu_backends opencl)
set(upwell_instruction_set all)
set(upwell_library_of_opencl upwell_runtime_opencl)

function(upwell_compile)
    message("compile ${ARGN}")
endfunction()
function(upwell_add_row)
    list(JOIN ARGN " | " columns)
    message("row ${columns}")
endfunction()

foreach (name IN ITEMS fns fns_d_value)
    upwell_declare(
        upwell_${name}_k3_r4_float32
        KIND variants ROW "${name}, 3, 4" SOURCE upwell.generator GENERATOR ${name} PARAMS kernel=3 ratio=4 type=float32
    )
endforeach ()
upwell_declare(
    upwell_fns_k3_rany_float32
    KIND variants ROW "fns, 3, 0" SOURCE upwell.generator GENERATOR fns PARAMS kernel=3 ratio=0 type=float32
    CPU_FEATURES large_buffers
)
upwell_declare(
    upwell_filter_backward_float32
    KIND kernels ROW "filter_backward, 0" SOURCE upwell.filter_generator GENERATOR filter_backward PARAMS type=float32
    FEATURES large_buffers
)
upwell_declare(
    upwell_plain_float32 KIND kernels ROW "plain, 0" SOURCE upwell.filter_generator GENERATOR plain PARAMS type=float32
)
upwell_add_tuned_tables()
