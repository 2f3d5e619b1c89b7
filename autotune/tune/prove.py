"""Times operators with the tuned kernels of the library and without: python -m tune.prove FOLDER TABLE."""

import ctypes
import json
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
import upwell
from tqdm import tqdm

from autotune.tune import table
from autotune.tune.kernels import machine_class, this_instruction_set
from autotune.tune.measuring import is_slower, quartiles
from autotune.tune.workload import bench_workload, bind, parse_workload

_OBSERVER = ctypes.CFUNCTYPE(None, ctypes.c_char_p, ctypes.c_void_p)
_ROUNDS, _SECONDS = 60, 6.0
_SHORTEST_SAMPLE = 4e-3


class Symbols:
    """The kernels that calls ran since the last clear()."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self._observer = _OBSERVER(lambda symbol, _: self.seen.append(symbol.decode()))
        self._library = ctypes.CDLL(str(upwell.LIBRARY))

    def of(self, call: Callable[[], object]) -> list[str]:
        self.seen = []
        self._library.upwell_set_observer(self._observer)
        call()
        self._library.upwell_set_observer(None)
        return self.seen


def make_passes(entry: table.Entry) -> dict[str, Callable[[], object]]:
    """The forward pass of the entry's operator, and the part of the backward pass that is the entry's."""
    workload = parse_workload(entry.measured.shape, entry.dtype)
    bench, dtype = bench_workload(workload), getattr(torch, entry.dtype)
    tensors, function = bench.tensors(dtype), bind(workload)

    def forward() -> object:
        with torch.no_grad():
            return function(*tensors)

    leaves = [t.detach().requires_grad_() for t in tensors]
    output, d_output = function(*leaves), bench.d_output(dtype)
    wanted = {"d_value": leaves[:1], "d_weight": leaves[1:2]}.get(entry.direction, leaves)

    def backward() -> object:
        return torch.autograd.grad(output, wanted, d_output, retain_graph=True, allow_unused=True)

    return {"forward": forward, "backward": backward}


def seconds_of(call: Callable[[], object], repeats: int) -> float:
    call()
    start = time.perf_counter()
    for _ in range(repeats):
        call()
    return (time.perf_counter() - start) / repeats


def time_pair(call: Callable[[], object]) -> list[float]:
    """Ratios of times, tuned : hand, of rounds in which one follows the other."""

    def sample(on: bool, repeats: int) -> float:
        upwell.use_tuned(on)
        return seconds_of(call, repeats)

    repeats = max(1, round(_SHORTEST_SAMPLE / sample(False, 1)))
    start, ratios = time.monotonic(), []
    while len(ratios) < 5 or (len(ratios) < _ROUNDS and time.monotonic() - start < _SECONDS):
        first = len(ratios) % 2 == 0
        samples = {on: sample(on, repeats) for on in (first, not first)}
        ratios.append(samples[True] / samples[False])
    upwell.use_tuned(True)
    return ratios


def prove(entry: table.Entry, symbols: Symbols) -> dict[str, object] | None:
    """None where the library has not this entry's kernel."""
    generator = entry.kernel + ("" if entry.direction in ("", "forward") else f"_{entry.direction}")
    own = re.compile(rf"upwell_{generator}(_k\d+_r\w+)?_{entry.dtype}_\w+_tuned_\d+")
    upwell.use_tuned(True)
    for name, call in make_passes(entry).items():
        ran = [symbol for symbol in symbols.of(call) if own.fullmatch(symbol)]
        if ran:
            median, low, high = quartiles(time_pair(call))
            verdict = "faster" if median < 0.99 and high < 1 else "slower" if is_slower(median, low) else "as fast"
            return {"shape": entry.measured.shape, "pass": name, "symbol": ran[0], "tuned_ratio": entry.measured.ratio,
                    "ratio": median, "low": low, "high": high, "verdict": verdict}
    return None


def main() -> None:
    folder, named = Path(sys.argv[1]), sys.argv[2]
    files = sorted(folder.glob("*.json")) if named == "auto" else [Path(named)]
    tables = [table.read(file) for file in files]
    own = machine_class("cpu", this_instruction_set())
    entries = [entry for read in tables if read.machine_class == own for entry in read.entries]
    symbols = Symbols()
    rows = [prove(entry, symbols) for entry in tqdm(entries, desc="measuring afresh", unit="kernel")]
    print(json.dumps([row for row in rows if row]))


if __name__ == "__main__":
    main()
