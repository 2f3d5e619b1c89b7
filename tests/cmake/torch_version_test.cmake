# A torch that is too old is refused in one line that names both versions, before anything of it is run. Run: cmake
# -D ROOT=<source directory> -D PYTHON=<interpreter> -D FOLDER=<to write to> -P torch_version_test.cmake
cmake_minimum_required(VERSION 3.28)

if (FIND_IN)  # what the outer run starts
    set(Python3_EXECUTABLE ${PYTHON})
    list(APPEND CMAKE_MODULE_PATH ${ROOT}/torch_bridge)
    include(${ROOT}/cmake/wheels.cmake)
    find_package(LibTorch 2.11 REQUIRED)
    return()
endif ()

file(REMOVE_RECURSE ${FOLDER})
foreach (version IN ITEMS 1.13.1 2.9.0 2.10.0 2.10.0+cpu)
    file(WRITE ${FOLDER}/torch/__init__.py "raise SystemExit('imported')")
    file(WRITE ${FOLDER}/torch/version.py "from typing import Optional\n__version__ = '${version}'\ncuda = '13.0'\n")
    execute_process(
        COMMAND ${CMAKE_COMMAND} -E env PYTHONPATH=${FOLDER} ${CMAKE_COMMAND} -D FIND_IN=${FOLDER} -D ROOT=${ROOT}
                -D PYTHON=${PYTHON} -P ${CMAKE_CURRENT_LIST_FILE}
        RESULT_VARIABLE status OUTPUT_VARIABLE text ERROR_VARIABLE text
    )
    string(REGEX REPLACE "[ \n]+" " " text "${text}")
    string(REPLACE "+cpu" "" number ${version})
    string(FIND "${text}" "torch should be 2.11 or newer but is ${number}, in ${FOLDER}/torch" place)
    if (status EQUAL 0 OR place EQUAL -1)
        message(FATAL_ERROR "torch ${version} should be refused but gives: ${text}")
    endif ()
endforeach ()
message("every old torch was refused")
