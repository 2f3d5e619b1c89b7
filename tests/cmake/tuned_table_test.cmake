# Tuned tables as a configuration reads them (runtime/tuned.cmake): good ones give kernels and rows, whatever is wrong
# with one is named with the file and the entry. Run: cmake -D ROOT=<source directory> -D FOLDER=<to write to> -P
# tuned_table_test.cmake
cmake_minimum_required(VERSION 3.28)

set(failures 0)
file(REMOVE_RECURSE ${FOLDER})
set(schedules ${FOLDER}/schedules)
file(WRITE ${schedules}/window.h "Knob unroll_rows{this, \"unroll_rows\"}, strip_rows{this, \"strip_rows\"};")
file(WRITE ${schedules}/filter.h "Knob tile{this, \"tile\"};  // not \"unroll_rows\"")
file(WRITE ${schedules}/knobs.h "std::string space_file{\"space\", \"\"};")

set(table ${FOLDER}/table.json)
set(bucket [["bucket": {"channels": [4, 15], "pixels": [16, 63], "samples": 2, "threads": 4}]])
set(fns [["kernel": "fns", "direction": "forward", "kernel_size": 3, "ratio": 4, "dtype": "float32"]])
set(filter [["kernel": "filter_backward", "direction": "", "dtype": "float32"]])
set(rows [["parameters": {"unroll_rows": 2}]])

function(write_table class target entries)
    set(head "\"format\": 1, \"class\": \"${class}\", \"target\": \"${target}\"")
    file(WRITE ${table} "{${head}, \"entries\": [${entries}]}")
endfunction()

# Runs the configuration: its exit status, and what it says with every break between words a single space.
function(configure status_variable text_variable)
    execute_process(
        COMMAND ${CMAKE_COMMAND} -D ROOT=${ROOT} -D SOURCES=${FOLDER} ${ARGN}
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

# A table of one good entry and this one.
function(entry_is_refused what entry text)
    write_table(x86-64-avx512 avx512 "{${fns}, ${bucket}, ${rows}}, ${entry}")
    refused("${what}" "entry 2${text}")
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
    "{${fns}, ${bucket}, ${rows}}, {${fns}, ${larger}, \"parameters\": {\"strip_rows\": -4, \"unroll_rows\": 1}},"
    "{${fns}, ${next}, ${rows}}, {${d_value}, ${bucket}, ${rows}}, {${any_size}, ${bucket}, ${rows}},"
    "{${filter}, ${bucket}, \"parameters\": {\"tile\": 8}, \"measured\": {\"ratio\": 0.8}}"
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
    "upwell_fns_k3_r4_float32_avx512_tuned_2\;${window}fns\;${k3_r4}strip_rows=-4\;unroll_rows=1\;${for_avx512} row"
    "${row}fns_k3_r4_float32_avx512_tuned_2 | (Bucket{{16, 16, 2}, {63, 63}, 4})"
    "${row}fns_k3_r4_float32_avx512_tuned_3 | (Bucket{{4, 64, 1}, {15, 255}, 1})"
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
    "-- table.json: left out, this configuration has no kernels for cuda"
)

string(REPLACE "\"ratio\": 4" "\"ratio\": 5" not_built "${fns}")
write_table(x86-64-avx2 avx2 "{${not_built}, ${bucket}, ${rows}}")
says(
    "a variant that is not built" "${use}"
    "-- table.json: entry 1 (fns float32): left out, this configuration has no upwell_fns_k3_r5_float32"
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

# ---- Broken and foreign tables.

foreach (text IN ITEMS "" "{" "[1, 2]" "ours")
    file(WRITE ${table} "${text}")
    refused("'${text}'" "should be a JSON object")
endforeach ()
foreach (text IN ITEMS "{}" [[{"format": 2, "entries": []}]] [[{"format": "one"}]] [[{"version": 1, "entries": []}]])
    file(WRITE ${table} "${text}")
    refused("'${text}'" [[should be a tuned table, which has "format": 1]])
endforeach ()
file(WRITE ${table} [[{"format": 1, "entries": []}]])
refused("no class" "class should be a JSON string but is missing")
write_table(sparc sparc "")
refused("an unknown class" "class should be one of x86-64-avx512, x86-64-avx2, cuda, opencl but is 'sparc'")
write_table(x86-64-avx2 avx512 "")
refused("another target" "target should be one of avx2 but is 'avx512'")
file(WRITE ${table} [[{"format": 1, "class": "cuda", "target": "cuda"}]])
refused("no entries" "entries should be a JSON array but is missing")

entry_is_refused("an entry that is none" "3" ": 1 should be a JSON object but is number")
entry_is_refused("no kernel" "{${bucket}, ${rows}}" ": kernel should be a JSON string but is missing")
foreach (name IN ITEMS fnss fns_d_value fns_k3_r4 "a b" "")
    entry_is_refused(
        "the kernel '${name}'" "{\"kernel\": \"${name}\", \"direction\": \"\", \"dtype\": \"float32\"}"
        ": kernel '${name}' is unknown"
    )
endforeach ()
string(REPLACE float32 float31 changed "${fns}")
entry_is_refused(
    "an unknown dtype" "{${changed}}"
    ": dtype should be one of float32, float64, float16, bfloat16 but is 'float31'"
)
string(REPLACE float32 bfloat16 changed "${fns}")
entry_is_refused("a dtype of GPUs" "{${changed}}" ": dtype bfloat16 has kernels for GPUs only, but the class is x86-64")
string(REPLACE float32 float16 changed "${filter}")
entry_is_refused("16 bits of no window operator" "{${changed}}" ": dtype float16 has kernels for GPUs only")
string(REPLACE forward backward changed "${fns}")
entry_is_refused(
    "an unknown direction" "{${changed}}" ": direction should be one of forward, d_value, d_weight but is 'backward'"
)
entry_is_refused(
    "a direction that the operator has not"
    [[{"kernel": "nearest", "direction": "d_weight", "dtype": "float32"}]]
    ": direction should be one of forward, d_value but is 'd_weight'"
)
string(REPLACE "\"\"" "\"forward\"" changed "${filter}")
entry_is_refused(
    "a direction of no window operator" "{${changed}}"
    ": direction should be empty for filter_backward but is 'forward'"
)
string(REPLACE "\"ratio\": 4" "\"ratio\": \"any\"" changed "${fns}")
entry_is_refused("a ratio in words" "{${changed}}" ": ratio should be a JSON number but is string")
foreach (size IN ITEMS 2.5 0 -3)
    string(REPLACE "\"kernel_size\": 3" "\"kernel_size\": ${size}" changed "${fns}")
    entry_is_refused(
        "a kernel of ${size} taps" "{${changed}}" ": kernel_size should be an integer of at least 1 but is ${size}"
    )
endforeach ()

entry_is_refused(
    "no samples" "{${fns}, \"bucket\": {\"channels\": [1, 3], \"pixels\": [1, 3], \"threads\": 1}, ${rows}}"
    " (fns float32): bucket.samples should be a JSON number but is missing"
)
entry_is_refused(
    "no threads"
    "{${fns}, \"bucket\": {\"channels\": [1, 3], \"pixels\": [1, 3], \"samples\": 1, \"threads\": 0}, ${rows}}"
    " (fns float32): bucket.threads should be an integer of at least 1 but is 0"
)
entry_is_refused("no bucket" "{${fns}, ${rows}}" " (fns float32): bucket should be a JSON object but is missing")
entry_is_refused(
    "half a bucket" "{${fns}, \"bucket\": {\"channels\": [1, 3]}, ${rows}}"
    " (fns float32): bucket.pixels should be a JSON array but is missing"
)
foreach (
    range IN ITEMS
    "[63, 16]" "[0, 3]" "[-4, 3]" "[1]" "[1, 2, 3]" "[1.5, 3]" "[\"a\", 3]" "[]" "[1, 99999999999999999999]"
)
    entry_is_refused(
        "channels ${range}" "{${fns}, \"bucket\": {\"channels\": ${range}, \"pixels\": [1, 2]}, ${rows}}"
        " (fns float32): bucket.channels should be two ascending integers in 1 .. 10^12 but is"
    )
endforeach ()
set(shared " (fns float32): bucket should share no calls with that of table.json: entry 1 (fns float32)")
entry_is_refused("an entry twice" "{${fns}, ${bucket}, ${rows}}" "${shared}")
foreach (channels IN ITEMS "[1, 4]" "[15, 15]" "[1, 63]" "[5, 6]")
    entry_is_refused(
        "channels ${channels} beside [4, 15]"
        "{${fns}, \"bucket\": {\"channels\": ${channels}, \"pixels\": [63, 64], \"samples\": 1, \"threads\": 1}, ${rows}}" "${shared}"
    )
endforeach ()

entry_is_refused(
    "no parameters" "{${fns}, ${larger}}" " (fns float32): parameters should be a JSON object but is missing"
)
entry_is_refused(
    "empty parameters" "{${fns}, ${larger}, \"parameters\": {}}" " (fns float32): parameters should not be empty"
)
foreach (knob IN ITEMS "2rows" "un roll" "a=b" "")
    entry_is_refused(
        "the knob '${knob}'" "{${fns}, ${larger}, \"parameters\": {\"${knob}\": 1}}"
        " (fns float32): parameters: the name '${knob}' should be an identifier"
    )
endforeach ()
foreach (knob IN ITEMS tile type space unroll)
    entry_is_refused(
        "the knob ${knob} of another kernel" "{${fns}, ${larger}, \"parameters\": {\"${knob}\": 1}}"
        " (fns float32): parameters: '${knob}' is no knob of fns, which has: unroll_rows, strip_rows"
    )
endforeach ()
entry_is_refused(
    "a knob of the window" "{${filter}, ${larger}, ${rows}}"
    " (filter_backward float32): parameters: 'unroll_rows' is no knob of filter_backward, which has: tile"
)
string(REPLACE filter_backward plain plain "${filter}")
entry_is_refused(
    "a kernel without knobs" "{${plain}, ${larger}, ${rows}}"
    " (plain float32): parameters: 'unroll_rows' is no knob of plain"
)
foreach (value IN ITEMS "1.5" "\"2\"" "true" "null" "[2]" "1e99" "2147483648")
    entry_is_refused(
        "the value ${value}" "{${fns}, ${larger}, \"parameters\": {\"unroll_rows\": ${value}}}"
        " (fns float32): parameters: unroll_rows should be an integer but is"
    )
endforeach ()

if (failures GREATER 0)
    message(FATAL_ERROR "${failures} tables were read in another way")
endif ()
message("every table was read as it should be")
