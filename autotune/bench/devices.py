"""What a processor and a GPU ask of the harness: their clock, how memory is seen, which candidates may fail."""

import time
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import ClassVar, Protocol

import torch

from autotune.bench.candidates import COMPILED, EAGER, EXACT, PUBLISHED, UPWELL, Trial
from autotune.bench.measure import Clock, copy_bandwidth, seconds_on_gpu, seconds_per_call
from autotune.bench.memory import measure_memory, peak_on_gpu
from autotune.bench.rows import Row

_COMPILING = 0.7  # of the time limit: later, nothing new is compiled
_COPY, _SMALL_COPY = 1 << 30, 1 << 24  # bytes of the buffer that is copied, on a GPU and in a dry run


class Device(Protocol):
    """Where candidates run."""

    name: str  # as torch calls it
    dtype: torch.dtype
    budget: float  # seconds of timed calls per row and mode
    clock: Clock
    published: Callable | None  # the authors' extension of FNS, where it takes part
    may_fail: frozenset[str]  # candidates that are left out where they fail; of any other the error ends the run
    say: Callable[[str], None]

    def may_compile(self) -> bool:
        """Whether there is time to."""

    def memory(self, row: Row, mode: str, running: dict[str, Trial]) -> dict[str, dict]:
        """By candidate: peak_bytes, saved_bytes as far as they are known; or why it is skipped."""


@dataclass
class Processor:
    """The CPU. Memory is seen in a process of its own (memory.py)."""

    dtype: torch.dtype
    budget: float
    observer: Executor
    say: Callable[[str], None]
    name: ClassVar[str] = "cpu"
    published: ClassVar[None] = None
    may_fail: ClassVar[frozenset[str]] = frozenset([COMPILED])  # without a C++ compiler, or where torch fails or errs
    clock: ClassVar[Clock] = staticmethod(seconds_per_call)

    def may_compile(self) -> bool:
        return True

    def memory(self, row: Row, mode: str, running: dict[str, Trial]) -> dict[str, dict]:
        return self.observer.submit(measure_memory, row.workload, mode, self.dtype, list(running)).result()


class Gpu:
    """A GPU; or, in a dry run, the CPU in its place."""

    dtype = torch.float32
    may_fail = frozenset([EAGER, UPWELL, COMPILED, EXACT, PUBLISHED])

    def __init__(self, name: str, budget: float, seconds: float, published: Callable | None):
        """seconds: about how long it may take."""
        self.name, self.budget, self.published = name, budget, published
        self.is_real = torch.device(name).type == "cuda"
        self.clock = seconds_on_gpu if self.is_real else seconds_per_call
        self._compile_until = time.monotonic() + _COMPILING * seconds

    def say(self, text: str) -> None:
        """Its lines say what was found, not what goes on."""

    def may_compile(self) -> bool:
        return time.monotonic() < self._compile_until

    def memory(self, row: Row, mode: str, running: dict[str, Trial]) -> dict[str, dict]:
        found = {}
        for name, trial in running.items():
            try:
                trial()  # with the settings that are timed
                found[name] = {"peak_bytes": peak_on_gpu(trial) if self.is_real else None}
            except RuntimeError as error:  # out of memory, most likely
                found[name] = {"skipped": str(error).splitlines()[0][:300]}
        return found

    def copy_bandwidth(self) -> float:
        """Bytes per second, read plus written, of copying a buffer within the device."""
        return copy_bandwidth(_COPY if self.is_real else _SMALL_COPY, 20, self.name)
