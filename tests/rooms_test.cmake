# Each room of the tree answers one question, and its vocabulary shows it: words that belong to one room and are found in
# another fail this test. Run: cmake -D ROOT=<source directory> -P rooms_test.cmake
cmake_minimum_required(VERSION 3.28)

set(failures 0)

# upwell_only_in("<room>|<path>..." <regular expression>): prints every other line of the tree with a match. A comment may
# say any word.
function(upwell_only_in rooms pattern)
    foreach (file IN LISTS sources)
        if (file MATCHES "^(${rooms})")
            continue()
        endif ()
        file(STRINGS "${ROOT}/${file}" lines REGEX "${pattern}")
        foreach (line IN LISTS lines)
            string(REGEX REPLACE "(//|#[^a-z]).*" "" code "${line}")
            if (code MATCHES "${pattern}")
                message("${file}: ${line}\n    belongs in ${rooms}")
                math(EXPR failures "${failures} + 1")
            endif ()
        endforeach ()
    endforeach ()
    set(failures ${failures} PARENT_SCOPE)
endfunction()

set(rooms grid language operators generators schedules runtime torch_bridge reference tests autotune examples)
set(sources "")
foreach (room IN LISTS rooms)
    file(
        GLOB_RECURSE found
        RELATIVE "${ROOT}" "${ROOT}/${room}/*.cpp" "${ROOT}/${room}/*.h" "${ROOT}/${room}/*.cmake"
        "${ROOT}/${room}/CMakeLists.txt"
    )
    list(APPEND sources ${found})
endforeach ()
list(REMOVE_ITEM sources tests/rooms_test.cmake)
list(LENGTH sources count)
if (count EQUAL 0)
    message(FATAL_ERROR "no sources under '${ROOT}'")
endif ()

# What a pixel equals.
upwell_only_in("generators/|schedules/|tests/algebra/" "(^|[^A-Za-z_])(Func|RDom)([^A-Za-z_]|$)")
# When, where, how wide.
upwell_only_in("schedules/" "\\.(vectorize|parallel|compute_at|gpu_[a-z]+)\\(")
# What a kernel runs on.
upwell_only_in("schedules/|generators/kernel.h|tests/" "(has_gpu_feature|has_feature|get_target)\\(")
# Variants and a buffer's layout.
upwell_only_in("runtime/|tests/runtime/|tests/autotune/" "halide_buffer_t")
# The compiler.
upwell_only_in("generators/|schedules/|tests/(algebra|autotune|reference|schedules|support)/" "#include [<\"]Halide[.]h")
# Tensors of torch.
upwell_only_in("torch_bridge/|tests/torch_bridge/|examples/" "#include <(torch|ATen)/")
# A clock. (The runtime says what the driver's compiler took.)
upwell_only_in("autotune/|runtime/cuda_driver.cpp" "#include <chrono>")

# Arithmetic on tensors of torch: operators leave it to the runtime, which has it for programs without torch too.
set(arithmetic "[.](sum|mean|matmul|mul_?|add_?|sub_?|div_?|neg|pow|square|sqrt|rsqrt|exp|log1p|clamp_?[a-z]*|copy_)[(]")
set(torch_functions "#include <ATen/(TensorOperators|ops/[a-z_0-9]+)[.]h>")
foreach (file IN LISTS sources)
    if (NOT file MATCHES "^torch_bridge/operators/")
        continue()
    endif ()
    file(STRINGS "${ROOT}/${file}" lines REGEX "${arithmetic}|${torch_functions}")
    foreach (line IN LISTS lines)
        if (NOT line MATCHES "<ATen/ops/(empty|empty_like|zeros|zeros_like)[.]h>")
            message("${file}: ${line}\n    belongs in runtime/operators/")
            math(EXPR failures "${failures} + 1")
        endif ()
    endforeach ()
endforeach ()

# Python.
set(sources "")
foreach (room IN LISTS rooms)
    file(GLOB_RECURSE found RELATIVE "${ROOT}" "${ROOT}/${room}/*.py")
    list(APPEND sources ${found})
endforeach ()
list(LENGTH sources python_count)
math(EXPR count "${count} + ${python_count}")
# A clock. (Compiling an operator shows its progress.)
upwell_only_in("autotune/|examples/|tests/|torch_bridge/python/upwell/build.py" "^(import|from) time( |$)|[^a-z_]time[.][a-z_]+[(]")
# Where Python finds modules: the root, by `python -m` or pyproject.toml. The package finds the tuner of its checkout, the
# benchmark the package in a checkout of others, and processes of tests what these find.
upwell_only_in("torch_bridge/python/upwell/tune.py|autotune/bench/published.py|tests/autotune/" "sys[.]path")
# The search stands on the benchmark, the benchmark on the references; nothing of them is in the package.
upwell_only_in("autotune/tune/|tests/|torch_bridge/python/upwell/tune.py" "(from|import) autotune[.]tune")
upwell_only_in("autotune/|tests/|torch_bridge/python/upwell/tune.py" "(from|import) autotune")
upwell_only_in("reference/|autotune/bench/|tests/" "(from|import) reference[. ]")
# The compiler of kernels, and what it compiles for.
upwell_only_in("autotune/|tests/|torch_bridge/python/upwell/build.py" "x86-64-linux|upwell[.]generator")

if (failures GREATER 0)
    message(FATAL_ERROR "${failures} lines are in the wrong room")
endif ()
message("${count} files, every word in its room")
