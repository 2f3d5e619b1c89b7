"""One recorded call of a kernel: what a candidate is run on."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

_ALIGNMENT = 64  # bytes, as torch aligns


@dataclass(frozen=True)
class Map:
    """A buffer: (min, extent, stride in elements) of each dimension, innermost first, and its elements from the
    least address to the last; None for an output, which has no content before the call."""

    dims: tuple[tuple[int, int, int], ...]
    dtype: np.dtype
    data: np.ndarray | None

    @property
    def span(self) -> int:
        """Elements from the first to the last, gaps included."""
        if any(extent == 0 for _, extent, _ in self.dims):
            return 0
        return 1 + sum((extent - 1) * stride for _, extent, stride in self.dims)

    @property
    def elements(self) -> int:
        return int(np.prod([extent for _, extent, _ in self.dims], dtype=np.int64))

    @property
    def sizes(self) -> list[int]:
        """Outermost first."""
        return [extent for _, extent, _ in reversed(self.dims)]

    def allocate(self) -> np.ndarray:
        """Memory for its elements, aligned; an output's are nan."""
        raw = np.empty(self.span * self.dtype.itemsize + _ALIGNMENT, np.uint8)
        start = -raw.ctypes.data % _ALIGNMENT
        memory = raw[start : start + self.span * self.dtype.itemsize].view(self.dtype)
        memory[:] = self.data if self.data is not None else _nothing(self.dtype)
        return memory

    def elements_of(self, memory: np.ndarray) -> np.ndarray:
        """The elements in `memory` without its gaps, dimensions outermost first."""
        strides = [stride * self.dtype.itemsize for _, _, stride in reversed(self.dims)]
        return np.lib.stride_tricks.as_strided(memory, self.sizes, strides)


def _nothing(dtype: np.dtype) -> float | int:
    return np.nan if dtype.kind == "f" else np.iinfo(dtype).max


@dataclass(frozen=True)
class Problem:
    """The arguments by name, in the kernel's order; real and integer scalars as they are."""

    symbol: str
    arguments: dict[str, Map | int | float]
    outputs: tuple[str, ...]

    @property
    def bytes(self) -> int:
        """What a call cannot do without: every input read once and every output written once."""
        maps = [a for a in self.arguments.values() if isinstance(a, Map)]
        return sum(m.elements * m.dtype.itemsize for m in maps)

    @property
    def estimates(self) -> str:
        """The sizes for an autoscheduler (generators/estimates.h)."""
        words = []
        for name, argument in self.arguments.items():
            if isinstance(argument, Map):
                words.append(f"{name}:" + ";".join(f"{low},{extent}" for low, extent, _ in argument.dims))
            else:
                words.append(f"{name}:{argument}")
        return " ".join(words)

    def in_float64(self) -> "Problem":
        """The same call of the kernel for float64."""
        wide = np.dtype(np.float64)

        def widen(argument: Map | int | float) -> Map | int | float:
            if not isinstance(argument, Map) or argument.dtype.kind != "f":
                return argument
            return Map(argument.dims, wide, None if argument.data is None else argument.data.astype(wide))

        return Problem(self.symbol, {name: widen(a) for name, a in self.arguments.items()}, self.outputs)

    def save(self, file: Path) -> None:
        arrays, scalars, maps = {}, {}, {}
        for name, argument in self.arguments.items():
            if isinstance(argument, Map):
                maps[name] = {"dims": argument.dims, "dtype": argument.dtype.name}
                if argument.data is not None:
                    arrays[name] = argument.data
            else:
                scalars[name] = argument
        header = {"symbol": self.symbol, "order": list(self.arguments), "outputs": self.outputs, "maps": maps,
                  "scalars": scalars}
        file.parent.mkdir(parents=True, exist_ok=True)
        part = file.with_suffix(f".{os.getpid()}.part.npz")  # another tuner may record the same call
        np.savez(part, header=np.array(json.dumps(header)), **{f"data_{k}": v for k, v in arrays.items()})
        part.replace(file)


def load(file: Path) -> Problem:
    """What save() wrote."""
    with np.load(file) as archive:
        header = json.loads(str(archive["header"]))
        arguments: dict[str, Map | int | float] = {}
        for name in header["order"]:
            if name in header["scalars"]:
                arguments[name] = header["scalars"][name]
                continue
            shape = header["maps"][name]
            data = archive[f"data_{name}"] if f"data_{name}" in archive else None
            arguments[name] = Map(tuple(map(tuple, shape["dims"])), np.dtype(shape["dtype"]), data)
    return Problem(header["symbol"], arguments, tuple(header["outputs"]))
