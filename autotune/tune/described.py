"""Operators that somebody describes in a C++ file (docs/new-operator.md): their kernels, and their calls."""

import inspect
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

from autotune.tune.kernels import Catalogue, Kernel, TuneError
from autotune.tune.workload import Workload

SUFFIXES = (".cpp", ".cc", ".cxx")
_DTYPES = ("float32",)


def is_source(text: str) -> bool:
    """Whether a word of the command line names such a file."""
    return text.endswith(SUFFIXES)


@dataclass(frozen=True)
class Library:
    """What upwell.build made of a file: scheduled by hand, for float32."""

    file: str
    kernels: tuple[int, ...]  # taps per side; none: the descriptions' own
    ratios: tuple[int, ...]  # with kernels of their own

    @property
    def name(self) -> str:
        """That tells it from others, also those of the same file."""
        return Path(self.file).parent.name

    @classmethod
    def of(cls, source: Path, kernels: Sequence[int], ratios: Sequence[int]) -> Self:
        """Builds it, if it is not there."""
        from upwell.build import BuildError, compile_library

        try:
            file = compile_library(source, kernels, ratios, _DTYPES, gpu=False, progress=True, tuned=False)
        except BuildError as error:
            raise TuneError(str(error)) from None
        return cls(str(file), tuple(kernels), tuple(ratios))

    def operators(self) -> dict[str, dict]:
        """What their descriptions say, by name."""
        from upwell.build import describe

        return {operator["name"]: operator for operator in describe(Path(self.file), self.kernels)}

    def catalogue(self, build: Path) -> Catalogue:
        """Its kernels; they run with the runtime of the build."""
        from upwell.build import GENERATOR, Settings, compiled_kernels

        runtime = next(kernel.runtime for kernel in Catalogue(build) if kernel.backend == "cpu")
        settings = Settings(self.kernels, self.ratios, _DTYPES, ["cpu"])
        made = compiled_kernels(list(self.operators().values()), settings)
        return Catalogue(build, {
            one.symbol: Kernel(one.symbol, GENERATOR, one.generator, tuple(one.parameters), (one.target,),
                               tuple(one.features), runtime, Path(self.file))
            for one in made
        })


def table_of(source: Path) -> Path:
    """The table that upwell.build takes for this file."""
    from upwell.build import BuildError, kept_table

    try:
        return kept_table(source.resolve())
    except BuildError as error:
        raise TuneError(str(error)) from None


@dataclass(frozen=True)
class DescribedWorkload(Workload):
    """Every map has C channels but for those that `channels` names."""

    channels: tuple[tuple[str, int], ...] = ()
    border: str = ""  # none: the first
    library: Library | None = None
    description: Mapping[str, object] = field(default_factory=dict, compare=False)

    def __post_init__(self):
        names = {sizes[1] for sizes in self._sizes().values() if "K" not in sizes[1]}
        for name, count in self.channels:
            if name not in names:
                raise TuneError(f"{self.operator} has no channels {name}, but {', '.join(sorted(names))}")
            if count < 1:
                raise TuneError(f"{self.operator}: the channels {name} should be positive but are {count}")
        borders = self.description["borders"]
        if self.border and self.border not in borders:
            raise TuneError(f"{self.operator}: border should be one of {', '.join(borders)} but is {self.border}")
        if self.groups > 1 and not self.description["groups"]:
            raise TuneError(f"{self.operator} has no --groups")

    @property
    def shape(self) -> str:
        more = [f"{name} {count}" for name, count in self.channels] + [self.border] * bool(self.border)
        return " ".join([super().shape, *more])

    def catalogue(self, build: Path) -> Catalogue:
        return self.library.catalogue(build)

    def owns(self, compiled: Kernel) -> bool:
        return True

    def extent(self, compiled: Kernel) -> tuple[int, int, int]:
        return self._count(self._channels_of(compiled)), self.h * self.w, self.N

    def multiply_adds(self, compiled: Kernel) -> int:
        """Of the window that the taps read together: they are one cell apart."""
        cells = self._windows()[compiled.identity["kernel"]][1]["cells_per_tap"]
        pixels = self.N * self.h * self.ratio * self.w * self.ratio
        return pixels * self._count(self._channels_of(compiled)) * (self.kernel + cells - 1) ** 2

    def run(self) -> None:
        """A forward and a backward pass with random maps."""
        import torch
        import upwell

        upwell.load(self.library.file)
        function, dtype = getattr(upwell.ops, self.operator), getattr(torch, self.dtype)
        torch.manual_seed(1)
        maps = [torch.randn(shape, dtype=dtype).requires_grad_() for shape in self.shapes().values()]
        known = {"kernel": self.kernel, "groups": self.groups, "size": self._high, "border": self.border or None}
        taken = inspect.signature(function).parameters
        output = function(*maps, **{name: value for name, value in known.items() if name in taken and value})
        output.backward(torch.randn_like(output))

    def shapes(self) -> dict[str, list[int]]:
        """Of each map, by its name."""
        K = self.kernel**2
        numbers = {"N": self.N, "h": self.h, "w": self.w, "H": self._high[0], "W": self._high[1], "K*K": K,
                   "G*K*K": self.groups * K}
        return {
            name: [numbers[size] if size in numbers else self._count(size) for size in sizes]
            for name, sizes in self._sizes().items()
        }

    @property
    def _high(self) -> list[int]:
        return [self.h * self.ratio, self.w * self.ratio]

    def _sizes(self) -> dict[str, list[str]]:
        return {each["name"]: each["sizes"].split(", ") for each in self.description["maps"]}

    def _count(self, channels: str) -> int:
        return dict(self.channels).get(channels, self.C)

    def _windows(self) -> dict[str, tuple[bool, dict]]:
        """By name: whether it is that of scores, and what it is. There is one, or two with scores, for each border."""
        has_scores = self.description["scores"]
        return {w["name"]: (has_scores and i % 2 == 1, w) for i, w in enumerate(self.description["windows"])}

    def _channels_of(self, compiled: Kernel) -> str:
        """The name of the channels that a kernel goes over: the query's and the key's for scores, else the value's."""
        maps = self._sizes().values()
        queries = [sizes[1] for sizes in maps if sizes[2] == "H" and "K" not in sizes[1]]
        low = [sizes[1] for sizes in maps if sizes[2] == "h"]
        if self._windows()[compiled.identity["kernel"]][0]:
            return queries[0]
        return next((name for name in low if name not in queries), low[0])

    def _own_channels(self, compiled: Kernel) -> int:
        return self._count(self._channels_of(compiled))

    def _with_channels(self, compiled: Kernel, count: int) -> Self:
        channels = dict(self.channels) | {self._channels_of(compiled): count}
        return replace(self, channels=tuple(sorted(channels.items())))


def read_workload(text: str) -> Workload:
    """What json.dumps(workload.as_dict()) wrote."""
    fields = json.loads(text)
    if "library" not in fields:
        return Workload(**fields)
    library = Library(**{name: value if name == "file" else tuple(value) for name, value in fields["library"].items()})
    return DescribedWorkload(**fields | {"channels": tuple(map(tuple, fields["channels"])), "library": library})
