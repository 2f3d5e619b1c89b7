"""autotune/tune/table.py: what is written is read again, stays in order, and a broken table says where it is broken; and
autotune/tune/entries.py, by which a build reads it."""

import copy
import dataclasses
import difflib
import json
import pathlib
import subprocess
import sys

import pytest
from toy import BUILD

from autotune.origin import ROOT
from autotune.tune.table import Bucket, Entry, Measured, Table, TableError, bucket_of, read

MEASURED = Measured(
    "x 2,64,32,32 ratio 4", 0.84, 0.83, 0.86, 40, 1, 60, "abc1234", "2026-11-21", "a processor", 2,
    {"optuna": "5.0.0", "halide": "21.0.0"},
)
ENTRY = Entry("fns", "forward", 3, 4, "float32", bucket_of(64, 1024, 2, 4), {"unroll_rows": 2, "block": 8}, MEASURED)


def entry(**changes) -> Entry:
    return dataclasses.replace(ENTRY, **changes)


def filled() -> Table:
    table = Table("x86-64-avx512")
    for one in (
        entry(kernel="pcdc_scores", direction="", kernel_size=None, ratio=None),
        entry(bucket=bucket_of(256, 1024, 2, 4)),
        entry(direction="d_weight"),
        entry(),
        entry(kernel_size=5),
    ):
        table.put(one)
    return table


def test_what_is_written_is_read_again(tmp_path):
    path = tmp_path / "tuned" / "x86-64-avx512.json"
    filled().write(path)
    table = read(path, "x86-64-avx512")
    assert table == filled()
    assert json.loads(path.read_text())["entries"][0] == {
        "kernel": "fns", "direction": "d_weight", "kernel_size": 3, "ratio": 4, "dtype": "float32",
        "bucket": {"channels": [64, 255], "pixels": [1024, 4095], "samples": 2, "threads": 4},
        "parameters": {"block": 8, "unroll_rows": 2},
        "measured": {
            "shape": "x 2,64,32,32 ratio 4", "ratio": 0.84, "low": 0.83, "high": 0.86, "rounds": 40, "seed": 1,
            "trials": 60, "commit": "abc1234", "date": "2026-11-21", "processor": "a processor", "threads": 2,
            "versions": {"halide": "21.0.0", "optuna": "5.0.0"},
        },
    }
    assert "kernel_size" not in json.loads(path.read_text())["entries"][-1]
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_an_empty_table_is_one(tmp_path):
    Table("cuda").write(tmp_path / "cuda.json")
    assert read(tmp_path / "cuda.json") == Table("cuda")


def test_entries_are_sorted_and_the_same_table_has_the_same_bytes(tmp_path):
    filled().write(tmp_path / "a")
    backwards = Table("x86-64-avx512")
    for one in reversed(filled().entries):
        backwards.put(dataclasses.replace(one, parameters=dict(reversed(one.parameters.items()))))
    backwards.write(tmp_path / "b")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert (tmp_path / "a").read_bytes().endswith(b"}\n")
    read(tmp_path / "a").write(tmp_path / "c")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "c").read_bytes()
    assert [(one.kernel, one.direction, one.kernel_size, one.bucket.channels[0]) for one in filled().entries] == [
        ("fns", "d_weight", 3, 64), ("fns", "forward", 3, 64), ("fns", "forward", 3, 256), ("fns", "forward", 5, 64),
        ("pcdc_scores", "", None, 64),
    ]


def test_a_changed_entry_changes_its_own_lines(tmp_path):
    table = filled()
    table.write(tmp_path / "before")
    table.put(entry(parameters={"unroll_rows": 4, "block": 8}, measured=dataclasses.replace(MEASURED, ratio=0.85)))
    table.write(tmp_path / "after")
    before, after = ((tmp_path / name).read_text().splitlines() for name in ("before", "after"))
    changed = [line for line in difflib.ndiff(before, after) if line.startswith("+ ")]
    assert len(table.entries) == 5
    assert len(changed) == 2 and '"unroll_rows": 4' in changed[0] and "0.85" in changed[1]


def test_buckets_of_one_kernel_do_not_overlap():
    table = filled()
    with pytest.raises(TableError, match=r"fns forward K=3 ratio 4 float32, channels 100-300, .*: its bucket overlaps"):
        table.put(entry(bucket=Bucket((100, 300), (1024, 4095), 2, 4)))
    assert table == filled()
    table.put(entry(bucket=Bucket((100, 300), (4096, 5000), 2, 4)))  # beside
    table.put(entry(ratio=2, bucket=Bucket((100, 300), (1024, 4095), 2, 4)))  # another kernel


def test_a_bucket_is_between_powers_of_4():
    assert bucket_of(1, 3, 2, 4) == Bucket((1, 3), (1, 3), 2, 4)
    assert bucket_of(4, 15, 2, 4) == Bucket((4, 15), (4, 15), 2, 4)
    assert bucket_of(64, 4096, 2, 4) == Bucket((64, 255), (4096, 16383), 2, 4)
    assert bucket_of(63, 4095, 2, 4) == Bucket((16, 63), (1024, 4095), 2, 4)
    with pytest.raises(ValueError, match="pixels should be at least 1 but is 0"):
        bucket_of(1, 0, 2, 4)


def set_at(content: dict, place: str, value: object) -> None:
    """Place: names and numbers with dots between; the value ... takes the field away."""
    *path, last = [int(part) if part.isdigit() else part for part in place.split(".")]
    for part in path:
        content = content[part]
    if value is ...:
        del content[last]
    else:
        content[last] = value


@pytest.mark.parametrize(
    "place, value, message",
    [
        ("format", 2, "format should be 1 but is 2"),
        ("class", "arm", r'class should be one of x86-64-avx512, .*opencl but is "arm"'),
        ("target", "avx2", 'target of class x86-64-avx512 should be avx512 but is "avx2"'),
        ("entries", {}, "entries should be a list"),
        ("note", "", "the table has the unknown field note"),
        ("entries.0", 3, "entry 1: entry should be an object but is 3"),
        ("entries.1.kernel", "FNS", r'entry 2 \(FNS forward float32\): kernel should be lower-case .* but is "FNS"'),
        ("entries.1.direction", "back", "entry 2 .*: direction should be one of forward, d_value, d_weight"),
        ("entries.1.kernel_size", ..., "entry 2 .*: entry lacks kernel_size"),
        ("entries.1.ratio", 2.5, "entry 2 .*: ratio should be a whole number, at least 0 but is 2.5"),
        ("entries.4.ratio", 4, r"entry 5 \(pcdc_scores float32\): entry has the unknown field ratio"),
        ("entries.1.dtype", ["float32"], "entry 2 .*: dtype should be one of float64, .* but is"),
        ("entries.1.bucket", [1, 2], "entry 2 .*: bucket should be an object"),
        ("entries.1.bucket.pixels", [9, 1], r"entry 2 .*: pixels should be \[first, last\] but is \[9, 1\]"),
        ("entries.1.bucket.pixels", [9, 10**12 + 1], r"entry 2 .*: pixels should be \[first, last\] but is"),
        ("entries.1.bucket.samples", 0, "entry 2 .*: samples should be a whole number, at least 1 but is 0"),
        ("entries.1.bucket.threads", 1.5, "entry 2 .*: threads should be a whole number, at least 1 but is 1.5"),
        ("entries.1.bucket.channels", [64, 256], r"entry 3 .*: its bucket overlaps"),
        ("entries.2.bucket.channels", [64, 255], "entry 3 .*: the same kernel and bucket as another entry"),
        ("entries.1.parameters", {}, "entry 2 .*: parameters should be an object of numbers"),
        ("entries.1.parameters.block", True, "entry 2 .*: block should be a whole number but is true"),
        ("entries.1.parameters.a b", 1, 'entry 2 .*: the name of a parameter .* but is "a b"'),
        ("entries.1.measured.ratio", "0.8", 'entry 2 .*: ratio should be a positive number but is "0.8"'),
        ("entries.1.measured.ratio", 0.9, "entry 2 .*: ratio should be from low to high .* but is 0.9"),
        ("entries.1.measured.threads", 0, "entry 2 .*: threads should be a whole number, at least 1 but is 0"),
        ("entries.1.measured.commit", None, "entry 2 .*: commit should be a text but is null"),
        ("entries.1.measured.versions", {"halide": 21}, "entry 2 .*: versions should be an object of texts"),
        ("entries.1.measured.seed", ..., "entry 2 .*: measured lacks seed"),
    ],
)
def test_a_broken_table_says_where(tmp_path, place, value, message):
    path = tmp_path / "table.json"
    filled().write(path)
    content = json.loads(path.read_text())
    set_at(content, place, value)
    path.write_text(json.dumps(content))
    with pytest.raises(TableError, match=rf"table\.json: {message}"):
        read(path)


@pytest.mark.parametrize(
    "text, message",
    [
        ("{", "not JSON"),
        ("\xff", "the table should be|not JSON"),
        ("[]", "the table should be an object"),
        ('{"format": 1, "format": 1}', 'not JSON: "format" is there twice'),
        ('{"format": NaN}', "not JSON: NaN is no number"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path, text, message):
    path = tmp_path / "table.json"
    path.write_text(text)
    with pytest.raises(TableError, match=rf"table\.json: ({message})"):
        read(path)


def test_a_foreign_or_missing_table_is_refused(tmp_path):
    filled().write(tmp_path / "table.json")
    with pytest.raises(TableError, match='table.json: class should be cuda but is "x86-64-avx512"'):
        read(tmp_path / "table.json", "cuda")
    with pytest.raises(TableError, match="missing.json: cannot be read"):
        read(tmp_path / "missing.json")


def test_a_table_that_cannot_be_written_leaves_the_old_one(tmp_path):
    path = tmp_path / "table.json"
    filled().write(path)
    before = path.read_bytes()
    table = copy.deepcopy(filled())
    table.put(entry(measured=dataclasses.replace(MEASURED, ratio=float("nan"))))
    with pytest.raises(ValueError, match="not JSON compliant"):
        table.write(path)
    assert path.read_bytes() == before
    assert [file.name for file in pathlib.Path(tmp_path).iterdir()] == [path.name]


def listed(*files: pathlib.Path) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "autotune.tune.entries", *files]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT)


def test_a_build_reads_a_line_for_each_entry(tmp_path):
    filled().write(tmp_path / "a.json")
    Table("cuda").write(tmp_path / "b.json")
    done = listed(tmp_path / "a.json", tmp_path / "b.json")
    lines = done.stdout.splitlines()
    assert done.returncode == 0 and len(lines) == 7
    assert lines[0] == f"table|{tmp_path}/a.json|x86-64-avx512|avx512" and lines[6] == f"table|{tmp_path}/b.json|cuda|cuda"
    assert lines[1] == "entry 1|fns|d_weight|3|4|float32|64|255|1024|4095|2|4|block=8,unroll_rows=2"
    assert lines[5] == "entry 5|pcdc_scores|-|0|0|float32|64|255|1024|4095|2|4|block=8,unroll_rows=2"


def test_a_build_refuses_a_broken_table_and_two_of_one_class(tmp_path):
    filled().write(tmp_path / "a.json")
    filled().write(tmp_path / "b.json")
    done = listed(tmp_path / "a.json", tmp_path / "b.json")
    assert done.returncode == 1 and "b.json: class x86-64-avx512 has a table in" in done.stderr
    (tmp_path / "b.json").write_text("{}")
    done = listed(tmp_path / "b.json")
    assert done.returncode == 1 and "b.json: the table lacks class" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "knob, message",
    [
        ("unroll_rowz=2", "no GeneratorParam named: unroll_rowz"),
        ("unroll_rows=77", "unroll_rows should be one of 1, 2, 4 but is 77"),
        ("unroll_rows=2147483648", "Unable to parse: 2147483648"),
    ],
)
def test_a_generator_program_refuses_a_knob_that_its_kernel_has_not(tmp_path, knob, message):
    program = BUILD / "python" / "upwell" / "bin" / "upwell.generator"
    kernel = ["-g", "fns", "-e", "stmt", "-o", tmp_path, "target=host", "kernel=3", "ratio=4", "type=float32"]
    done = subprocess.run([program, *kernel, knob], capture_output=True, text=True)
    assert done.returncode != 0 and message in done.stderr + done.stdout
