# LibTorch::LibTorch from the torch wheel: headers, libc10 and libtorch_cpu, which hold all that operators for the CPU
# need, whichever wheel it is. torch's own package file is not used because that of a CUDA wheel demands a CUDA toolkit.
upwell_wheel_directory(torch torch_directory)
file(STRINGS "${torch_directory}/version.py" torch_version REGEX "^__version__ = ")
string(REGEX MATCH "[0-9]+\\.[0-9]+\\.[0-9]+" LibTorch_VERSION "${torch_version}")
string(REGEX MATCH "^([0-9]+)\\.([0-9]+)" LibTorch_VERSION_MAJOR_MINOR "${LibTorch_VERSION}")
if (LibTorch_VERSION VERSION_LESS LibTorch_FIND_VERSION)
    message(FATAL_ERROR "torch should be ${LibTorch_FIND_VERSION} or newer but is ${LibTorch_VERSION}, in ${torch_directory}")
endif ()
if (NOT DEFINED LibTorch_CXX11_ABI)
    execute_process(
        COMMAND ${Python3_EXECUTABLE} -c "import torch; print(int(torch.compiled_with_cxx11_abi()))"
        OUTPUT_VARIABLE torch_abi OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET COMMAND_ERROR_IS_FATAL ANY
    )
    set(LibTorch_CXX11_ABI ${torch_abi} CACHE STRING "Whether torch uses the C++11 ABI of libstdc++")
    mark_as_advanced(LibTorch_CXX11_ABI)
endif ()

find_path(LibTorch_INCLUDE_DIR torch/library.h PATHS "${torch_directory}/include" NO_DEFAULT_PATH)
foreach (library IN ITEMS c10 torch_cpu)
    find_library(LibTorch_${library} ${library} PATHS "${torch_directory}/lib" NO_DEFAULT_PATH)
endforeach ()
# The OpenMP runtime that torch itself uses, so that at::parallel_for runs on torch's threads and no others.
file(GLOB torch_openmp "${torch_directory}/lib/libgomp*.so*")

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(
    LibTorch REQUIRED_VARS LibTorch_INCLUDE_DIR LibTorch_c10 LibTorch_torch_cpu torch_openmp
    VERSION_VAR LibTorch_VERSION
)

if (LibTorch_FOUND AND NOT TARGET LibTorch::LibTorch)
    add_library(LibTorch::LibTorch INTERFACE IMPORTED)
    target_include_directories(
        LibTorch::LibTorch SYSTEM INTERFACE "${LibTorch_INCLUDE_DIR}"
                                            "${LibTorch_INCLUDE_DIR}/torch/csrc/api/include"
    )
    target_compile_definitions(LibTorch::LibTorch INTERFACE _GLIBCXX_USE_CXX11_ABI=${LibTorch_CXX11_ABI})
    target_compile_options(LibTorch::LibTorch INTERFACE -fopenmp)
    target_compile_features(LibTorch::LibTorch INTERFACE cxx_std_20)  # of torch's headers since 2.12
    target_link_libraries(
        LibTorch::LibTorch INTERFACE "${LibTorch_torch_cpu}" "${LibTorch_c10}" "${torch_openmp}" Threads::Threads
    )
endif ()
