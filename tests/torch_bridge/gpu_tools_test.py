"""The scripts for GPU machines (tests/gpu/run.py, autotune/bench), run here on the CPU with small maps."""

import json
import os
import pathlib
import shutil
import subprocess
import sys

import pytest
import torch
import upwell

ROOT = pathlib.Path(__file__).parent.parent.parent
PACKAGE = pathlib.Path(upwell.__file__).parent

FAKE = """
import ctypes, sys, time, unittest
from support import DeviceTest, each

class Fake(DeviceTest):
    def test_a_fine(self):
        pass

    def test_b_crashes(self):
        ctypes.string_at(0)

    @each((1, 2), ("one", "two"))
    def test_c_cases(self, number, word):
        self.assertNotEqual((number, word), (2, "one"))

    def test_d_hangs(self):
        time.sleep(60)

    @unittest.skip("for a reason")
    def test_e_skipped(self):
        pass

    def test_f_loses_the_device(self):
        sys.modules["__main__"].device_works = lambda: False

    def test_g_prints(self):
        print("said something")
"""

# Takes the device, and finds something wrong in every worker.
SANITIZER = """#!/bin/sh
shift 4
"$@"
case "$*" in *worker.py*) echo ========= ERROR SUMMARY: 1 error; exit 77;; esac
"""


def run(*arguments: object) -> subprocess.CompletedProcess:
    """Python with these arguments, in the checkout."""
    environment = {**os.environ, "PYTHONPATH": str(PACKAGE.parent), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment, cwd=ROOT)


@pytest.fixture
def fake_tests(tmp_path):
    """A checkout whose only GPU tests are the fake ones; the rest is the real one's."""
    folder = tmp_path / "tests" / "gpu"
    shutil.copytree(ROOT / "tests" / "gpu", folder, ignore=shutil.ignore_patterns("*_test.py", "__pycache__"))
    for name in ("autotune", "reference", "tests/torch_bridge"):
        (tmp_path / name).symlink_to(ROOT / name)
    (folder / "fake_test.py").write_text(FAKE)
    return folder / "run.py"


def test_the_gpu_tests_pass_on_the_cpu_where_they_make_sense(tmp_path):
    chosen = ["golden_test::*float64]", "sanitize_test::test_a_*float32]", "error_test::test_wrong*"]
    chosen += ["formula_test::test_memory*", "graph_test::test_graphed*"]
    file = tmp_path / "results.json"
    done = run(
        ROOT / "tests" / "gpu" / "run.py", "--device", "cpu", "--package", PACKAGE, "--json", file, "--only", *chosen
    )
    assert done.returncode == 0, done.stdout + done.stderr
    written = json.loads(file.read_text())
    assert written["machine"]["torch"] == torch.__version__ and written["machine"]["device"]
    statuses = {test["status"] for test in written["tests"]}
    assert statuses == {"passed", "skipped"}
    assert all(test["message"] for test in written["tests"] if test["status"] == "skipped")


def test_a_test_that_crashes_or_hangs_is_named_and_the_others_still_run(fake_tests, tmp_path):
    file = tmp_path / "results.json"
    done = run(fake_tests, "--device", "cpu", "--json", file, "--limit", 3)
    statuses = {test["name"].split("::")[1]: test["status"] for test in json.loads(file.read_text())["tests"]}
    assert done.returncode == 1
    assert statuses == {
        "test_a_fine": "passed",
        "test_b_crashes": "lost",
        "test_c_cases[1, one]": "passed",
        "test_c_cases[1, two]": "passed",
        "test_c_cases[2, one]": "failed",
        "test_c_cases[2, two]": "passed",
        "test_d_hangs": "lost",
        "test_e_skipped": "skipped",
        "test_f_loses_the_device": "failed",
        "test_g_prints": "passed",
    }
    assert "said something" in done.stdout and "for a reason" in done.stdout
    assert "the device was lost" in done.stdout
    assert [line.strip() for line in done.stdout.splitlines()[-4:]] == [
        f"fake_test::{name}"
        for name in ("test_b_crashes", "test_c_cases[2, one]", "test_d_hangs", "test_f_loses_the_device")
    ]


def test_only_some_tests_can_be_chosen(fake_tests):
    done = run(fake_tests, "--device", "cpu", "--list", "--only", "*cases[2*", "fake_test::test_a*")
    assert done.stdout.splitlines() == [
        f"fake_test::{name}" for name in ("test_a_fine", "test_c_cases[2, one]", "test_c_cases[2, two]")
    ]
    assert run(fake_tests, "--device", "cpu", "--only", "nothing").returncode != 0


def test_the_sanitizer_wraps_the_worker_and_its_findings_count(fake_tests, tmp_path, monkeypatch):
    (fake_tests.parent / "fake_test.py").rename(fake_tests.parent / "sanitize_test.py")
    (fake_tests.parent / "sanitize_test.py").write_text(FAKE.replace("ctypes.string_at(0)", "pass"))
    program = tmp_path / "bin" / "compute-sanitizer"
    program.parent.mkdir()
    program.write_text(SANITIZER)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=os.pathsep)
    done = run(fake_tests, "--device", "cpu", "--sanitize", "--only", "*fine", "*prints")
    assert done.returncode == 1
    assert done.stdout.count("passed") >= 4 and done.stdout.count("ERROR SUMMARY: 1 error") == 2
    program.write_text("#!/bin/sh\necho Device not supported\nexit 1\n")
    done = run(fake_tests, "--device", "cpu", "--sanitize")
    assert done.returncode != 0 and "nothing was checked: Device not supported" in done.stderr


def test_the_benchmark_runs_and_draws(tmp_path):
    bench = ("-m", "autotune.bench")
    done = run(*bench, "--device", "cuda", "--dry-run", "--seconds", 0, "--out", tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    file = next(tmp_path.glob("*.json"))
    report = json.loads(file.read_text())
    assert report["quick"] and report["copy_bytes_per_s"] > 0
    assert {row["name"] for row in report["rows"]} >= {"fns_k3_r4", "carafe_k5_r2", "resfu", "resfu_bfloat16"}
    for row in report["rows"]:
        for mode in row["modes"].values():
            assert mode["least_bytes"] > 0
            for name in ("Upwell", "torch eager"):
                note = mode["candidates"][name]
                assert note["low_ms"] <= note["median_ms"] <= note["high_ms"]
    assert run(*bench, "--draw", file).returncode == 0
    assert "| resfu_bfloat16 |" in file.with_suffix(".md").read_text() and file.with_suffix(".png").stat().st_size > 0


def test_a_benchmark_row_that_does_not_exist_is_refused():
    done = run("-m", "autotune.bench", "--device", "cuda", "--dry-run", "--shapes", "nothing")
    assert done.returncode != 0 and "fns_k3_r4" in done.stderr
