"""How it is timed: candidates in turn, so that a slow minute of the machine hits all of them alike."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

Call = Callable[[], object]

_SHORTEST_SAMPLE = 2e-3  # seconds; shorter calls are repeated within a sample
_FEWEST_ROUNDS, _MOST_ROUNDS = 5, 60


@dataclass(frozen=True)
class Timing:
    """Of one candidate, in milliseconds per call: the median and the quartiles around it."""

    median_ms: float
    low_ms: float
    high_ms: float
    rounds: int


def seconds_per_call(call: Call, repeats: int) -> float:
    """Seconds per call, mean of so many."""
    start = time.perf_counter()
    for _ in range(repeats):
        call()
    return (time.perf_counter() - start) / repeats


def _summary(samples: list[float]) -> Timing:
    low, median, high = (1e3 * s for s in statistics.quantiles(samples, n=4, method="inclusive"))
    return Timing(median, low, high, len(samples))


def interleave(
    calls: dict[str, Call], budget: float, clock: Callable[[Call, int], float] = seconds_per_call
) -> dict[str, Timing]:
    """Times already warm calls in turn, A B C A B C ..., for about `budget` seconds in all.

    clock: seconds per call of a call repeated that often.
    """
    once = {name: min(clock(call, 1), clock(call, 1)) for name, call in calls.items()}
    repeats = {name: max(1, round(_SHORTEST_SAMPLE / seconds)) for name, seconds in once.items()}
    round_seconds = sum(once[name] * repeats[name] for name in calls)
    rounds = min(max(int(budget / round_seconds), _FEWEST_ROUNDS), _MOST_ROUNDS)
    samples: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            samples[name].append(clock(call, repeats[name]))
    return {name: _summary(values) for name, values in samples.items()}


def best_seconds(call: Call, repeats: int) -> float:
    """The shortest of `repeats` calls, after a warm-up: for limits, which noise can only hide."""
    call()
    return min(seconds_per_call(call, 1) for _ in range(repeats))
