# What a configuration makes of tuned tables (runtime/tuned.cmake): kernels and rows. How a broken one is named is tested
# where they are read (tests/autotune/table_test.py). Run: cmake -D ROOT=<source directory> -D FOLDER=<to write to>
# -D Python3_EXECUTABLE=<Python> -P tuned_table_test.cmake
cmake_minimum_required(VERSION 3.28)

set(failures 0)
file(REMOVE_RECURSE ${FOLDER})
set(schedules ${FOLDER}/schedules)

set(table ${FOLDER}/table.json)
set(bucket [["bucket": {"channels": [4, 15], "pixels": [16, 63], "samples": 2, "threads": 4}]])
set(fns [["kernel": "fns", "direction": "forward", "kernel_size": 3, "ratio": 4, "dtype": "float32"]])
set(filter [["kernel": "filter_backward", "direction": "", "dtype": "float32"]])
string(
    CONCAT measured
    [["measured": {"shape": "", "ratio": 0.8, "low": 0.7, "high": 0.9, "rounds": 40, "seed": 1, "trials": 60, ]]
    [["commit": "", "date": "", "processor": "", "threads": 4, "versions": {}}]]
)
set(rows "\"parameters\": {\"unroll_rows\": 2}, ${measured}")

function(write_table class target entries)
    set(head "\"format\": 1, \"class\": \"${class}\", \"target\": \"${target}\"")
    file(WRITE ${table} "{${head}, \"entries\": [${entries}]}")
endfunction()

# Runs the configuration: its exit status, and what it says with every break between words a single space.
function(configure status_variable text_variable)
    execute_process(
        COMMAND ${CMAKE_COMMAND} -D ROOT=${ROOT} -D SOURCES=${FOLDER} -D Python3_EXECUTABLE=${Python3_EXECUTABLE} ${ARGN}
                -P ${ROOT}/tests/cmake/add_tuned_tables.cmake
        RESULT_VARIABLE status OUTPUT_VARIABLE text ERROR_VARIABLE text
    )
    string(REGEX REPLACE "[ \n]+" " " text "${text}")
    set(${status_variable} ${status} PARENT_SCOPE)
    set(${text_variable} "${text}" PARENT_SCOPE)
endfunction()

function(fail message)
    message("${message}\n")
    math(EXPR failures "${failures} + 1")
    set(failures ${failures} PARENT_SCOPE)
endfunction()

# says(<what is tried> <options of the configuration, a list> <text>...): it passes, and says each of the texts.
function(says what options)
    configure(status said ${options})
    if (NOT status EQUAL 0)
        fail("${what}: should be taken but gives: ${said}")
    endif ()
    foreach (text IN LISTS ARGN)
        string(FIND "${said}" "${text}" place)
        if (place EQUAL -1)
            fail("${what}: should say\n    ${text}\nbut says\n    ${said}")
        endif ()
    endforeach ()
    set(failures ${failures} PARENT_SCOPE)
endfunction()

# refused(<what is tried> <text>): the table is refused with this text after its name.
function(refused what text)
    configure(status said -D UPWELL_TUNED=table.json)
    string(FIND "${said}" "table.json: ${text}" place)
    if (status EQUAL 0 OR place EQUAL -1)
        fail("${what}: should be refused with\n    table.json: ${text}\nbut says\n    ${said}")
    endif ()
    set(failures ${failures} PARENT_SCOPE)
endfunction()

# ---- Good tables.

set(use -D UPWELL_TUNED=table.json)
set(larger [["bucket": {"channels": [16, 63], "pixels": [16, 63], "samples": 2, "threads": 4}]])
set(next [["bucket": {"channels": [4, 15], "pixels": [64, 255], "samples": 1, "threads": 1}]])
string(REPLACE forward d_value d_value "${fns}")
string(REPLACE "\"ratio\": 4" "\"ratio\": 0" any_size "${fns}")
string(
    CONCAT entries
    "{${fns}, ${bucket}, ${rows}}, {${fns}, ${larger}, \"parameters\": {\"strip_rows\": -4, \"unroll_rows\": 1}, ${measured}},"
    "{${fns}, ${next}, ${rows}}, {${d_value}, ${bucket}, ${rows}}, {${any_size}, ${bucket}, ${rows}},"
    "{${filter}, ${bucket}, \"parameters\": {\"tile\": 8}, ${measured}}"
)
write_table(x86-64-avx512 avx512 "${entries}")
set(compile "compile upwell_runtime\;")
set(window "upwell.generator\;GENERATOR\;")
set(k3_r4 "PARAMS\;kernel=3\;ratio=4\;type=float32\;")
set(for_avx512 "TARGETS\;avx512\;FEATURES\;user_context")
set(row "Cpu | Avx512 | upwell_")
says(
    "a good table" "${use}"
    "${compile}upwell_fns_k3_r4_float32_avx512_tuned_1\;${window}fns\;${k3_r4}unroll_rows=2\;${for_avx512} row"
    "row upwell_runtime | variants | fns, 3, 4 | ${row}fns_k3_r4_float32_avx512_tuned_1 | (Bucket{{4, 16, 2}, {15, 63}, 4})"
    "upwell_fns_k3_r4_float32_avx512_tuned_3\;${window}fns\;${k3_r4}strip_rows=-4\;unroll_rows=1\;${for_avx512} row"
    "${row}fns_k3_r4_float32_avx512_tuned_2 | (Bucket{{4, 64, 1}, {15, 255}, 1})"
    "${row}fns_k3_r4_float32_avx512_tuned_3 | (Bucket{{16, 16, 2}, {63, 63}, 4})"
    "${row}fns_d_value_k3_r4_float32_avx512_tuned_1 | (Bucket{{4, 16, 2}, {15, 63}, 4})"
    "${compile}upwell_fns_k3_rany_float32_avx512_tuned_1"
    "ratio=0\;type=float32\;unroll_rows=2\;${for_avx512}\;large_buffers row"
    "PARAMS\;type=float32\;tile=8\;${for_avx512}\;large_buffers row"
    "row upwell_runtime | kernels | filter_backward, 0 | ${row}filter_backward_float32_avx512_tuned_1 | (Bucket"
)

write_table(x86-64-avx2 avx2 "{${fns}, ${bucket}, ${rows}}")
says("a table for fewer instructions" "${use}" "Cpu | Avx2 | upwell_fns_k3_r4_float32_avx2_tuned_1 |")

write_table(opencl opencl "{${any_size}, ${bucket}, ${rows}}")
says(
    "a table for OpenCL" "-D;UPWELL_TUNED=${table}"
    "unroll_rows=2\;TARGETS\;opencl\;FEATURES\;user_context row upwell_runtime_opencl | variants"
    "| OpenCl | Baseline | upwell_fns_k3_rany_float32_opencl_tuned_1 |"
)

write_table(cuda cuda "{${fns}, ${bucket}, ${rows}}")
says(
    "a table for a library that is not built" "${use}"
    "/table.json: left out, this configuration has no kernels for cuda"
)

string(REPLACE "\"ratio\": 4" "\"ratio\": 5" not_built "${fns}")
write_table(x86-64-avx2 avx2 "{${not_built}, ${bucket}, ${rows}}")
says(
    "a variant that is not built" "${use}"
    "/table.json: entry 1 (fns float32): left out, this configuration has no upwell_fns_k3_r5_float32"
)

write_table(x86-64-avx2 avx2 "")
says("an empty table" "${use}")

# ---- UPWELL_TUNED.

write_table(x86-64-avx2 avx2 "{${fns}, ${bucket}, ${rows}}")
file(COPY ${table} DESTINATION ${schedules}/tuned)
set(kernel "compile upwell_runtime\;upwell_fns_k3_r4_float32_avx2_tuned_1")
says("every table there is, as by default" "" "${kernel}")
says("every table there is" "-D;UPWELL_TUNED=auto" "${kernel}")
configure(status said -D UPWELL_TUNED=off)
if (NOT status EQUAL 0 OR NOT said STREQUAL "")
    fail("off: should add nothing but says ${said}")
endif ()
set(ENV{UPWELL_TUNED} off)
configure(status said)
if (NOT status EQUAL 0 OR NOT said STREQUAL "")
    fail("off in the environment: should add nothing but says ${said}")
endif ()
says("a value in the cache beside one in the environment" "-D;UPWELL_TUNED=auto" "${kernel}")
unset(ENV{UPWELL_TUNED})
configure(status said -D UPWELL_TUNED=none.json)
if (status EQUAL 0 OR NOT said MATCHES "UPWELL_TUNED should be auto, off or a tuned table but is [^ ]*/none.json")
    fail("a table that does not exist: should be named but says ${said}")
endif ()
file(REMOVE_RECURSE ${schedules}/tuned)

# ---- Tables that are refused.

file(WRITE ${table} [[{"format": 1, "entries": []}]])
refused("a broken table" "the table lacks class, target")
foreach (name IN ITEMS fnss fns_d_value)
    string(REPLACE filter_backward ${name} changed "${filter}")
    write_table(x86-64-avx512 avx512 "{${changed}, ${bucket}, ${rows}}")
    refused("the kernel '${name}'" "entry 1 (${name} float32): kernel '${name}' is unknown")
endforeach ()
string(REPLACE float32 bfloat16 changed "${fns}")
write_table(x86-64-avx512 avx512 "{${fns}, ${bucket}, ${rows}}, {${changed}, ${bucket}, ${rows}}")
refused("a dtype of GPUs" "entry 1 (fns bfloat16): dtype bfloat16 has kernels for GPUs only, but the class is x86-64")
string(REPLACE "\"fns\", \"direction\": \"forward\"" "\"nearest\", \"direction\": \"d_weight\"" changed "${fns}")
write_table(x86-64-avx512 avx512 "{${changed}, ${bucket}, ${rows}}")
refused(
    "a direction that the operator has not"
    "entry 1 (nearest float32): direction should be one of forward, d_value but is d_weight"
)
string(REPLACE "\"fns\"" "\"filter_backward\"" changed "${fns}")
write_table(x86-64-avx512 avx512 "{${changed}, ${bucket}, ${rows}}")
refused("a direction of no window operator" "entry 1 (filter_backward float32): direction should be one of - but is forward")

if (failures GREATER 0)
    message(FATAL_ERROR "${failures} tables were read in another way")
endif ()
message("every table was read as it should be")
