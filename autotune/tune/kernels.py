"""The compiled kernels of a build, as its <build>/runtime/kernels.json tells them."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_DIRECTIONS = ("d_value", "d_weight")
INSTRUCTION_SETS = ("baseline", "avx2", "avx512")  # each has what the ones before have


class TuneError(ValueError):
    """What a user can mend: a wrong argument, a missing build, a kernel that is not there."""


@dataclass(frozen=True)
class Kernel:
    """One compiled kernel: a generator, its parameters, and the targets it was compiled for, the best first."""

    symbol: str
    program: Path
    generator: str
    parameters: tuple[str, ...]  # as the generator takes them: kernel=3 ratio=4 type=float32
    targets: tuple[str, ...]
    features: tuple[str, ...]
    runtime: Path  # Halide's runtime for the targets, a static library
    operators: Path | None = None  # a library with the description, where the program does not have it

    def parameter(self, name: str) -> str | None:
        """The text behind `name=`."""
        return dict(p.split("=", 1) for p in self.parameters).get(name)

    @property
    def dtype(self) -> str:
        return self.parameter("type")

    @property
    def identity(self) -> dict[str, object]:
        """As a tuned table names it: kernel, direction, kernel_size, ratio, dtype; and the generator."""
        size, ratio = self.parameter("kernel"), self.parameter("ratio")
        direction = ""
        if size is not None:
            direction = next((d for d in _DIRECTIONS if self.generator.endswith("_" + d)), "forward")
        return {
            "generator": self.generator,
            "kernel": self.generator.removesuffix("_" + direction) if direction else self.generator,
            "direction": direction,
            "kernel_size": None if size is None else int(size),
            "ratio": None if ratio is None else int(ratio),
            "dtype": self.dtype,
        }

    @property
    def backend(self) -> str:
        """cpu, cuda or opencl."""
        return next((b for b in ("cuda", "opencl") if f"-{b}" in self.targets[0]), "cpu")

    def target(self, instruction_set: str) -> str:
        """The target that a candidate is compiled for: on a processor that of the instruction set, e.g. avx512."""
        if self.backend != "cpu":
            return self.targets[0]
        for target in self.targets:
            if instruction_set_of(target) == instruction_set:
                return target
        raise TuneError(f"{self.symbol} is not compiled for {instruction_set}")


def machine_class(backend: str, instruction_set: str) -> str:
    """The name of the table that the schedules of such kernels are kept in. instruction_set: of a processor."""
    return f"x86-64-{instruction_set}" if backend == "cpu" else backend


def instruction_set_of(target: str) -> str:
    """avx512, avx2 or baseline."""
    return next((s for s in ("avx512", "avx2") if f"-{s}" in target), "baseline")


def this_instruction_set() -> str:
    """What this processor has, as the runtime asks for it."""
    match = re.search(r"^flags\s*:(.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    flags = set(match.group(1).split()) if match else set()
    if not {"avx2", "fma", "f16c"} <= flags:
        return "baseline"
    avx512 = {f"avx512{part}" for part in ("f", "cd", "vl", "bw", "dq")}
    return "avx512" if avx512 <= flags else "avx2"


class Catalogue:
    """The kernels of one build folder (build/cpu), or others that are run with its runtime."""

    def __init__(self, build: Path, kernels: Mapping[str, Kernel] | None = None):
        self.build = build
        self._kernels = dict(kernels) if kernels is not None else self._built(build)

    @staticmethod
    def _built(build: Path) -> dict[str, Kernel]:
        file = build / "runtime" / "kernels.json"
        if not file.exists():
            raise TuneError(f"{file} is missing: run `make build` first")
        rows = json.loads(file.read_text())
        return {symbol: _kernel(symbol, row) for symbol, row in rows.items() if "_tuned_" not in symbol}

    def __getitem__(self, symbol: str) -> Kernel:
        """The kernel of this symbol; of a tuned one, the hand-scheduled kernel whose place it takes."""
        plain = re.sub(r"(_(avx512|avx2|baseline|cuda|opencl))?_tuned_\d+$", "", symbol)
        for name in (symbol, plain, symbol.split("_tuned_")[0]):
            if name in self._kernels:
                return self._kernels[name]
        raise TuneError(f"this build has no kernel {symbol}")

    def __iter__(self):
        return iter(self._kernels.values())


def _kernel(symbol: str, row: dict) -> Kernel:
    return Kernel(
        symbol=symbol,
        program=Path(row["program"]),
        generator=row["generator"],
        parameters=tuple(row["parameters"]),
        targets=tuple(row["targets"]),
        features=tuple(f for f in row["features"] if f),
        runtime=Path(row["runtime"]),
    )
