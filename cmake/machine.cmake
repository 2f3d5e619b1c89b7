# What of the machines that kernels can be compiled for this build serves.
#
#   UPWELL_INSTRUCTION_SETS   all: every processor, each kernel for up to three instruction sets, chosen when it is called;
#                             native: the one of the processor that configures the build
#   UPWELL_GPU                cuda; off; auto: cuda where the kernel has an NVIDIA driver loaded
#
# They give upwell_instruction_set, all or one of upwell_instruction_sets, and upwell_gpu, cuda or nothing.
set(upwell_instruction_sets avx512 avx2 baseline)  # best first

set(UPWELL_INSTRUCTION_SETS all CACHE STRING "Processors that kernels are compiled for: all or native")
set_property(CACHE UPWELL_INSTRUCTION_SETS PROPERTY STRINGS all native)
if (UPWELL_INSTRUCTION_SETS STREQUAL "native")
    if (NOT upwell_native)
        try_run(
            upwell_processor_runs upwell_processor_compiles SOURCES ${PROJECT_SOURCE_DIR}/cmake/processor.cpp
            CMAKE_FLAGS -DINCLUDE_DIRECTORIES=${PROJECT_SOURCE_DIR} CXX_STANDARD 20
            RUN_OUTPUT_VARIABLE upwell_processor
        )
        if (NOT upwell_processor_runs EQUAL 0)
            message(FATAL_ERROR "cmake/processor.cpp, which says what this processor can run, failed: ${upwell_processor}")
        endif ()
        string(STRIP "${upwell_processor}" upwell_processor)
        set(upwell_native ${upwell_processor} CACHE INTERNAL "The instruction set of this processor")
    endif ()
    set(upwell_instruction_set ${upwell_native})
elseif (UPWELL_INSTRUCTION_SETS STREQUAL "all")
    set(upwell_instruction_set all)
else ()
    message(FATAL_ERROR "UPWELL_INSTRUCTION_SETS should be all or native but is ${UPWELL_INSTRUCTION_SETS}")
endif ()

set(UPWELL_GPU cuda CACHE STRING "Kernels for GPUs: cuda, off or auto")
set_property(CACHE UPWELL_GPU PROPERTY STRINGS cuda off auto)
if (UPWELL_GPU STREQUAL "cuda" OR (UPWELL_GPU STREQUAL "auto" AND EXISTS /proc/driver/nvidia/version))
    set(upwell_gpu cuda)
elseif (UPWELL_GPU MATCHES "^(auto|off)$")
    set(upwell_gpu "")
else ()
    message(FATAL_ERROR "UPWELL_GPU should be cuda, off or auto but is '${UPWELL_GPU}'")
endif ()
message(STATUS "Kernels for: ${upwell_instruction_set} ${upwell_gpu}")
