"""Runs candidates on a recorded call, checks and times them: a process of its own, for what crashes or hangs.

python -m autotune.tune.replay reads its task from the first line of stdin and answers with lines of JSON. It needs numpy
alone, so that it also runs where nothing of the project is installed.

Task: {"runtime": library, "pool": library or null,
       "problem": file, "reference": file or null, "tolerance": relative to the largest element,
       "write_reference": file or null, "float64": bool, "candidates": [{"name", "library", "symbol"}],
       "shortest_sample": seconds}
Answers: {"event": "checked", "name", "error": relative} or {"event": "wrong", "name", "detail"} for every candidate in
order; {"event": "ready"}; then for every line "round" on stdin {"event": "round", "seconds": {name: of one call}}.
"""

import ctypes
import json
import sys
import time
from pathlib import Path

import numpy as np

from autotune.tune import halide
from autotune.tune.problem import Map, Problem, load

_SCALARS = {"i": ctypes.c_int32, "f4": ctypes.c_float, "f8": ctypes.c_double}


class Arguments:
    """The arguments of a kernel, in memory of their own."""

    def __init__(self, described: list[halide.Argument], problem: Problem):
        self._buffers: list[halide.Buffer] = []
        self._outputs: dict[str, tuple[Map, np.ndarray]] = {}
        self._keep = [self._value(argument, problem) for argument in described]
        self.pointers = (ctypes.c_void_p * len(self._keep))(*map(ctypes.addressof, self._keep))

    def _value(self, argument: halide.Argument, problem: Problem) -> object:
        if argument.kind == "context":
            return ctypes.c_void_p(None)
        if argument.kind == "scalar":
            key = "i" if argument.dtype.kind == "i" else f"f{argument.dtype.itemsize}"
            return _SCALARS[key](problem.arguments[argument.name])
        shape = problem.arguments[argument.name]
        memory = shape.allocate()
        self._buffers.append(halide.make_buffer(memory, list(shape.dims), argument.kind == "input"))
        if argument.kind == "output":
            self._outputs[argument.name] = (shape, memory)
        return self._buffers[-1]

    def finish(self, runtime: ctypes.CDLL) -> None:
        """Waits for a device."""
        for buffer in self._buffers:
            if buffer.device:
                runtime.halide_device_sync(None, ctypes.byref(buffer))
                return

    def results(self, runtime: ctypes.CDLL) -> dict[str, np.ndarray]:
        """The outputs, brought to the host."""
        for buffer in self._buffers:
            if buffer.device:
                runtime.halide_copy_to_host(None, ctypes.byref(buffer))
        return {name: shape.elements_of(memory) for name, (shape, memory) in self._outputs.items()}


class Kernel:
    """A candidate's code."""

    def __init__(self, runtime: ctypes.CDLL, library: Path, symbol: str):
        self.runtime = runtime
        self._library = ctypes.CDLL(str(library))
        self._function = getattr(self._library, f"{symbol}_argv")
        self.described = halide.arguments_of(self._library, symbol)

    def __call__(self, arguments: Arguments) -> None:
        """Starts it; on a GPU it may still be running."""
        status = self._function(arguments.pointers)
        if status != 0:
            raise RuntimeError(f"ended with Halide error {status}")

    def seconds(self, arguments: Arguments, repeats: int) -> float:
        """Of one call, on average, after one that brings its code and its data back from where others put them."""
        self(arguments)
        arguments.finish(self.runtime)
        start = time.perf_counter()
        for _ in range(repeats):
            self(arguments)
        arguments.finish(self.runtime)
        return (time.perf_counter() - start) / repeats


def error_of(results: dict[str, np.ndarray], reference: dict[str, np.ndarray]) -> float:
    """The largest difference, relative to the largest element of the same output; infinite where one is not finite."""
    worst = 0.0
    for name, expected in reference.items():
        found = results[name].astype(np.float64)
        if not np.isfinite(found).all():
            return float("inf")
        if expected.size:
            worst = max(worst, float(np.abs(found - expected).max() / max(np.abs(expected).max(), 1e-30)))
    return worst


def open_runtime(library: str, pool: str | None) -> ctypes.CDLL:
    """Halide's runtime, which the candidates find their symbols in. pool: a library with the threads to run on,
    and the memory to work in."""
    runtime = ctypes.CDLL(library, mode=ctypes.RTLD_GLOBAL)
    default = runtime.halide_default_load_library
    default.restype, default.argtypes = ctypes.c_void_p, [ctypes.c_char_p]

    def load_library(name: bytes) -> int | None:
        # Halide asks for libOpenCL.so, which only a development package has.
        return default(b"libOpenCL.so.1" if name == b"libOpenCL.so" else name)

    runtime.keep = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_char_p)(load_library)
    runtime.halide_set_custom_load_library(runtime.keep)
    if pool:
        library = ctypes.CDLL(pool)
        runtime.halide_set_custom_do_par_for(library.upwell_do_par_for)
        library.upwell_install_kernel_memory()
    return runtime


def _answer(**event: object) -> None:
    print(json.dumps(event), flush=True)


def _check(kernels: dict[str, Kernel], task: dict, problem: Problem) -> None:
    """Each in memory of its own, where what it does not write stays nan."""
    reference = None
    if task["reference"]:
        with np.load(task["reference"]) as archive:
            reference = {name: archive[name] for name in archive.files}
    for name, kernel in kernels.items():
        try:
            arguments = Arguments(kernel.described, problem)
            kernel(arguments)
            results = arguments.results(kernel.runtime)
        except RuntimeError as error:
            _answer(event="wrong", name=name, detail=str(error))
            sys.exit(0)
        if task["write_reference"]:
            np.savez(task["write_reference"], **results)
        error = error_of(results, reference) if reference else 0.0
        if not error <= task["tolerance"]:
            _answer(event="wrong", name=name, detail=f"differs from the reference by {error:.2g}")
            sys.exit(0)
        _answer(event="checked", name=name, error=error)


def main() -> None:
    task = json.loads(sys.stdin.readline())
    runtime = open_runtime(task["runtime"], task["pool"])
    problem = load(Path(task["problem"]))
    if task["float64"]:
        problem = problem.in_float64()
    kernels = {c["name"]: Kernel(runtime, Path(c["library"]), c["symbol"]) for c in task["candidates"]}
    _check(kernels, task, problem)
    # All are timed in the same memory, since where pages lie makes a difference; and in turns there and back.
    arguments = Arguments(next(iter(kernels.values())).described, problem)
    once = {name: min(kernel.seconds(arguments, 1) for _ in range(2)) for name, kernel in kernels.items()}
    repeats = {name: max(1, round(task["shortest_sample"] / seconds)) for name, seconds in once.items()}
    _answer(event="ready")
    order = list(kernels)
    for line in sys.stdin:
        if line.strip() != "round":
            break
        _answer(event="round", seconds={name: kernels[name].seconds(arguments, repeats[name]) for name in order})
        order.reverse()


if __name__ == "__main__":
    main()
