"""ReSFU's time and memory, forward and backward, as the picture grows: each size in a process of its own.

    python -m autotune.bench.memory_growth                           results in build/bench/memory_growth.json
    python -m autotune.bench.memory_growth --sizes 512 --threads 1

The picture (1,3,S,S) guides features of 1/ratio its size. Torch's composition takes part while it fits; Upwell also in a
process that keeps its memory (upwell.keep_memory).
"""

import argparse
import json
import multiprocessing
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import torch
from tabulate import tabulate
from tqdm import tqdm

import upwell
from autotune.bench.candidates import EAGER, UPWELL
from autotune.bench.machine import description
from autotune.bench.memory import peak_resident
from autotune.origin import ROOT
from reference import composition

KEEPING = "Upwell, memory kept"
_CHANNELS, _IMAGE = 32, 3
_SIZES = [256, 512, 1024, 2048]
_CALLS = 3  # timed, after one that warms up
_OUT = ROOT / "build" / "bench" / "memory_growth.json"


@dataclass(frozen=True)
class Growth:
    """One candidate at one size.

    peak_bytes: the most that its process held; before_bytes: the same before there was a ReSFU.
    """

    candidate: str
    size: int
    seconds: float
    before_bytes: int
    peak_bytes: int

    @property
    def cells(self) -> list:
        """A row of the table."""
        pixels = self.size**2
        nanoseconds, added = 1e9 * self.seconds / pixels, (self.peak_bytes - self.before_bytes) / pixels
        return [self.candidate, self.size, self.seconds, nanoseconds, self.peak_bytes / 2**30, added]


def measure(candidate: str, size: int, ratio: int, threads: int) -> Growth:
    """Median of a few training steps, and the peak of this process; to be run in a fresh one."""
    torch.set_num_threads(threads)
    if candidate == KEEPING:
        upwell.keep_memory()
    before = peak_resident()
    step = _training_step(candidate, size, ratio)
    seconds = [_seconds(step) for _ in range(1 + _CALLS)][1:]
    return Growth(candidate, size, statistics.median(seconds), before, peak_resident())


def _training_step(candidate: str, size: int, ratio: int) -> Callable[[], None]:
    """Forward and backward to features, picture and parameters, as a network does: it keeps no output."""
    torch.manual_seed(1)
    module = upwell.nn.ReSFU(_IMAGE, _CHANNELS, scale_factor=ratio)
    run = partial(composition.resfu, module) if candidate == EAGER else module
    y = torch.rand(1, _IMAGE, size, size, requires_grad=True)
    x = torch.randn(1, _CHANNELS, size // ratio, size // ratio, requires_grad=True)
    return lambda: run(y, x).mean().backward()


def _seconds(step: Callable[[], None]) -> float:
    start = time.perf_counter()
    step()
    return time.perf_counter() - start


def in_fresh_process(*arguments: object) -> Growth | None:
    """`measure`; None if its process was ended, as the system does where memory runs out."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as executor:
        try:
            return executor.submit(measure, *arguments).result()
        except BrokenProcessPool:
            return None


def arguments() -> argparse.Namespace:
    """The command line."""
    as_written = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=as_written)
    parser.add_argument("--sizes", nargs="+", type=int, default=_SIZES, help="default: %(default)s")
    parser.add_argument("--eager-up-to", type=int, default=512, help="torch's largest; default: %(default)s")
    parser.add_argument("--ratio", type=int, default=4, help="default: %(default)s")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="default: %(default)s")
    parser.add_argument("--out", type=Path, default=_OUT, help="file of the results; default: %(default)s")
    chosen = parser.parse_args()
    for name in ("ratio", "threads"):
        if getattr(chosen, name) < 1:
            parser.error(f"--{name} should be at least 1 but is {getattr(chosen, name)}")
    for size in chosen.sizes:
        if size < 1 or size % chosen.ratio:
            parser.error(f"--sizes: {size} is no multiple of --ratio {chosen.ratio}")
    return chosen


def main() -> None:
    """Prints a table and leaves JSON."""
    chosen = arguments()
    machine = description(threads=chosen.threads)
    steps = [(candidate, size) for candidate in (UPWELL, KEEPING) for size in chosen.sizes]
    steps += [(EAGER, size) for size in chosen.sizes if size <= chosen.eager_up_to]
    rows = []
    for candidate, size in (progress := tqdm(steps)):
        progress.set_description(f"{candidate} {size}")
        row = in_fresh_process(candidate, size, chosen.ratio, chosen.threads)
        if row is None:
            progress.write(f"{candidate} {size}: its process was ended, out of memory perhaps")
        else:
            rows.append(row)
    result = {"machine": machine, "ratio": chosen.ratio, "rows": [asdict(row) for row in rows]}
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    chosen.out.write_text(json.dumps(result, indent=1) + "\n")
    heads = ["", "size", "seconds", "ns per pixel", "peak GiB", "bytes added per pixel"]
    formats = ("", "", ".3f", ".0f", ".2f", ".0f")
    print(tabulate([row.cells for row in rows], heads, floatfmt=formats), chosen.out, sep="\n")


if __name__ == "__main__":
    main()
