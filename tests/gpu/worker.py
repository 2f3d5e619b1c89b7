"""A process that runs tests for run.py and tells it, line by line, how each one went.

    python tests/gpu/worker.py --list FILE...       the names of the tests in these files
    python tests/gpu/worker.py --machine            what this machine is
    python tests/gpu/worker.py --stdin FILE         the tests of a file whose names come in on stdin
"""

import argparse
import faulthandler
import importlib
import json
import os
import sys
import time
import traceback
import unittest

import torch
import upwell

_MARK = "\x02"
_DEVICE_LOST = 70  # exit code: nothing more can run in this process


def tell(**answer: object) -> None:
    """One line for run.py."""
    print(_MARK + json.dumps(answer), flush=True)


def tests(file: str) -> dict[str, unittest.TestCase]:
    """name -> test, in the file's order of classes."""
    module = importlib.import_module(file)
    found = {}
    for case in vars(module).values():
        if isinstance(case, type) and issubclass(case, unittest.TestCase) and case.__module__ == file:
            for method in unittest.defaultTestLoader.getTestCaseNames(case):
                found[f"{file}::{method}"] = case(method)
    return found


class Outcome(unittest.TestResult):
    """Of one test: its status, and why."""

    status, message = "passed", ""

    def addSkip(self, test, reason):
        self.status, self.message = "skipped", reason

    def addFailure(self, test, error):
        self.status, self.message = "failed", _last_lines(error)

    addError = addFailure

    def addSubTest(self, test, subtest, error):
        if error is not None:
            self.addFailure(test, error)


def _last_lines(error: tuple) -> str:
    return "".join(traceback.format_exception(*error))[-4000:]


def device_works() -> bool:
    """Whether the device still answers: after some errors no call of this process can succeed."""
    if os.environ.get("UPWELL_TEST_DEVICE", "cuda") == "cpu":
        return True
    try:
        torch.cuda.synchronize()
        return bool(torch.ones(1, device="cuda").item() == 1)
    except Exception:
        return False


def compile_cost() -> dict[str, float]:
    """Kernels that the CUDA driver compiled in this process, and the seconds that it took."""
    kernels, seconds = upwell.compile_cost() if hasattr(upwell, "compile_cost") else (0, 0.0)
    return {"kernels": kernels, "seconds": round(seconds, 3)}


def run(name: str, test: unittest.TestCase, limit: float) -> None:
    """Runs one test; ends the process where it hangs, or where the device is lost."""
    tell(name=name, status="running")
    faulthandler.dump_traceback_later(limit, exit=True)
    start, outcome = time.perf_counter(), Outcome()
    test.run(outcome)
    works = device_works()
    faulthandler.cancel_dump_traceback_later()
    seconds = round(time.perf_counter() - start, 3)
    status = outcome.status if works else "failed"
    message = outcome.message if works else f"the device was lost\n{outcome.message}"
    tell(name=name, status=status, seconds=seconds, message=message)
    if not works:
        os._exit(_DEVICE_LOST)


def main() -> None:
    """Does what run.py asks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="*")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--machine", action="store_true")
    parser.add_argument("--stdin", action="store_true")
    parser.add_argument("--limit", type=float, default=120)
    chosen = parser.parse_args()
    if chosen.machine:
        from autotune.bench.machine import description

        tell(**description(os.environ.get("UPWELL_TEST_DEVICE", "cuda")))
    found = {name: test for file in chosen.files for name, test in tests(file).items()}
    if chosen.list:
        for name in found:
            tell(name=name)
    if chosen.stdin:
        for name in sys.stdin.read().splitlines():
            run(name, found[name], chosen.limit)
        tell(status="compiled", **compile_cost())


if __name__ == "__main__":
    main()
