# Packages that come as Python wheels: where the interpreter of this build keeps them.

# wheel_directory(<wheel> <out>): the directory of an installed wheel, found without importing it.
function(upwell_wheel_directory wheel out)
    execute_process(
        COMMAND ${Python3_EXECUTABLE} -c
                "import importlib.util as u; s = u.find_spec('${wheel}'); print(s.submodule_search_locations[0] if s else '')"
        OUTPUT_VARIABLE directory OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY
    )
    if (NOT directory)
        message(FATAL_ERROR "${Python3_EXECUTABLE} has no ${wheel}: run `make setup`, or pip install -r requirements.txt")
    endif ()
    set(${out} "${directory}" PARENT_SCOPE)
endfunction()

# upwell_use_wheels(<wheel>...): lets find_package look into these wheels.
function(upwell_use_wheels)
    set(paths ${CMAKE_PREFIX_PATH})
    foreach (wheel IN LISTS ARGN)
        upwell_wheel_directory(${wheel} directory)
        list(APPEND paths "${directory}" "${directory}/lib64/cmake")
    endforeach ()
    set(CMAKE_PREFIX_PATH "${paths}" PARENT_SCOPE)
endfunction()
