"""How it is timed: candidates in turn, so that a slow minute of the machine hits all of them alike.

Between CUDA events on a GPU, with the host's clock elsewhere.
"""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

Call = Callable[[], object]
Clock = Callable[[Call, int], float]  # seconds per call of a call that is repeated so often

_SHORTEST_SAMPLE = 2e-3  # seconds; shorter calls are repeated within a sample
_FEWEST_ROUNDS, _MOST_ROUNDS = 5, 60


@dataclass(frozen=True)
class Timing:
    """Of one candidate, in milliseconds per call: the median and the quartiles around it."""

    median_ms: float
    low_ms: float
    high_ms: float
    rounds: int


def clock(device: str) -> Clock:
    """What times calls on this device."""
    return seconds_on_gpu if torch.device(device).type == "cuda" else seconds_per_call


def seconds_per_call(call: Call, repeats: int) -> float:
    """Seconds per call, mean of so many."""
    start = time.perf_counter()
    for _ in range(repeats):
        call()
    return (time.perf_counter() - start) / repeats


def seconds_on_gpu(call: Call, repeats: int) -> float:
    """Between two events around the calls: what they take one behind the other, launches included."""
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    for _ in range(repeats):
        call()
    end.record()
    end.synchronize()
    return start.elapsed_time(end) / 1e3 / repeats


def _summary(samples: list[float]) -> Timing:
    low, median, high = (1e3 * s for s in statistics.quantiles(samples, n=4, method="inclusive"))
    return Timing(median, low, high, len(samples))


def interleave(calls: dict[str, Call], budget: float, clock: Clock = seconds_per_call) -> dict[str, Timing]:
    """Times already warm calls in turn, A B C A B C ..., for about `budget` seconds in all."""
    once = {name: min(clock(call, 1), clock(call, 1)) for name, call in calls.items()}
    repeats = {name: max(1, round(_SHORTEST_SAMPLE / seconds)) for name, seconds in once.items()}
    round_seconds = sum(once[name] * repeats[name] for name in calls)
    rounds = min(max(int(budget / round_seconds), _FEWEST_ROUNDS), _MOST_ROUNDS)
    samples: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            samples[name].append(clock(call, repeats[name]))
    return {name: _summary(values) for name, values in samples.items()}


def copy_bandwidth(size: int, repeats: int, device: str = "cpu") -> float:
    """Bytes per second, read plus written, of copying so many bytes within the device.

    The best of `repeats` copies, after some that warm up: noise can only hide what a machine can do.
    """
    elements = size // torch.float32.itemsize
    source, target = torch.ones(elements, device=device), torch.zeros(elements, device=device)
    for _ in range(3):
        target.copy_(source)
    seconds = clock(device)
    return 2 * size / min(seconds(lambda: target.copy_(source), 1) for _ in range(repeats))
