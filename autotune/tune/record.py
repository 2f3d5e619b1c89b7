"""Records the kernel calls of an operator: python -m autotune.tune.record BUILD OUT WORKLOAD, with torch in it.

Writes OUT/<symbol>.npz for each kernel's first call of a forward and a backward pass, and prints their symbols.
"""

import ctypes
import json
import sys
from pathlib import Path

import numpy as np

from autotune.tune import halide
from autotune.tune.compiling import Compiler, candidate
from autotune.tune.described import read_workload
from autotune.tune.kernels import Catalogue, Kernel, TuneError, this_instruction_set
from autotune.tune.problem import Map, Problem

_OBSERVER = ctypes.CFUNCTYPE(None, ctypes.c_char_p, ctypes.POINTER(ctypes.c_void_p))


def read_call(kernel: Kernel, arguments: list[halide.Argument], pointers: "ctypes.Array") -> Problem:
    """The arguments behind the pointers of a call that has not run yet, copied."""
    values: dict[str, Map | int | float] = {}
    for k, argument in enumerate(arguments):
        if argument.kind == "context":
            continue
        if argument.kind == "scalar":
            raw = (ctypes.c_char * argument.dtype.itemsize).from_address(pointers[k])
            values[argument.name] = np.frombuffer(raw, argument.dtype)[0].item()
            continue
        buffer = halide.Buffer.from_address(pointers[k])
        dims = tuple((d.min, d.extent, d.stride) for d in buffer.dim[: buffer.dimensions])
        shape = Map(dims, argument.dtype, None)
        data = None
        if argument.kind == "input":
            raw = (ctypes.c_char * (shape.span * argument.dtype.itemsize)).from_address(buffer.host)
            data = np.frombuffer(raw, argument.dtype).copy()
        values[argument.name] = Map(dims, argument.dtype, data)
    return Problem(kernel.symbol, values, tuple(a.name for a in arguments if a.kind == "output"))


class Recorder:
    """Sees every kernel call of this process and keeps the first one of each kernel."""

    def __init__(self, catalogue: Catalogue, compiler: Compiler, library: Path):
        self.problems: dict[str, Problem] = {}
        self.failure: Exception | None = None
        self._catalogue, self._compiler = catalogue, compiler
        self._observer = _OBSERVER(self._observe)
        ctypes.CDLL(str(library)).upwell_set_observer(self._observer)

    def _observe(self, symbol: bytes, pointers: "ctypes.Array") -> None:
        try:
            kernel = self._catalogue[symbol.decode()]
            if kernel.symbol not in self.problems:
                self.problems[kernel.symbol] = read_call(kernel, self._arguments(kernel), pointers)
        except Exception as error:  # an exception cannot pass through the kernel's caller
            self.failure = self.failure or error

    def _arguments(self, kernel: Kernel) -> list[halide.Argument]:
        target = kernel.target(this_instruction_set())
        compiled = self._compiler.compile(candidate(kernel, target, {}))
        if not compiled.library:
            raise TuneError(f"{kernel.generator}: {compiled.detail}")
        runtime = self._compiler.runtime(kernel)
        ctypes.CDLL(str(runtime), mode=ctypes.RTLD_GLOBAL)
        return halide.arguments_of(ctypes.CDLL(str(compiled.library)), compiled.symbol)


def main() -> None:
    build, out, workload = Path(sys.argv[1]), Path(sys.argv[2]), read_workload(sys.argv[3])
    import upwell

    recorder = Recorder(workload.catalogue(build), Compiler(build / "tune" / "cache"), upwell.LIBRARY)
    workload.run()
    if recorder.failure:
        sys.exit(f"upwell tune: recording {workload.operator} failed: {recorder.failure}")
    for symbol, problem in recorder.problems.items():
        problem.save(out / f"{symbol}.npz")
    print(json.dumps(list(recorder.problems)))


if __name__ == "__main__":
    main()
