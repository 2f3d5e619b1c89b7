"""The default schedule, what Halide's autoschedulers make, and the tuned schedule, each beside the hand schedule."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from autotune.tune.compiling import Compiled
from autotune.tune.measuring import HAND, Result, measure_afresh, quartiles
from autotune.tune.problem import Problem
from autotune.tune.search import Bench

DEFAULT, TUNED = "default", "tuned"
_BASE = "base"  # the hand schedule, beside each
_PROCESSES, _ROUNDS = 3, 14  # of measuring a pair: processes, rounds in each
_SECONDS = 3.0  # after which a process begins no other round: of a candidate that is far behind a few are enough
_FIRST_LIMIT = 30.0  # seconds: a candidate that takes longer for its first calls is out


def autoschedulers_for(backend: str) -> tuple[str, ...]:
    return ("adams2019", "mullapudi2016") if backend == "cpu" else ("anderson2021",)


def compile_rivals(bench: Bench, problem: Problem, threads: int) -> dict[str, Compiled]:
    """The default schedule and what the autoschedulers make of the algorithm for the sizes of this call."""
    estimated = bench.candidate({"estimates": problem.estimates})
    with ThreadPoolExecutor(threads) as pool:
        default = pool.submit(bench.prepare, {"default_schedule": "true"})
        scheduled = {
            name: pool.submit(bench.compiler.compile, estimated, name, threads)
            for name in autoschedulers_for(bench.kernel.backend)
        }
        return {DEFAULT: default.result(), **{name: job.result() for name, job in scheduled.items()}}


def compare(bench: Bench, problem: Problem, threads: int, tuned: Mapping[str, int]) -> list[dict[str, object]]:
    """A row for each: name, outcome, detail, ms, low_ms, high_ms, and ratio to hand. tuned: none where hand is best.

    Each is timed beside the hand schedule and nothing else, since others would leave the caches as they need them; its
    milliseconds are its ratio in the hand schedule's own time.
    """
    rivals = compile_rivals(bench, problem, threads) | ({TUNED: bench.prepare(tuned)} if tuned else {})
    hand = bench.prepare({})
    pairs = {HAND: _measure_pair(bench, hand, hand, HAND)}
    pairs |= {name: _measure_pair(bench, hand, compiled, name) for name, compiled in rivals.items()}
    hand_ms, low, high = quartiles([1e3 * s for pair in pairs.values() for s in pair.seconds.get(_BASE, [])])
    rows = {name: _row(name, pair, hand_ms) for name, pair in pairs.items()}
    rows[HAND] |= {"ms": hand_ms, "low_ms": low, "high_ms": high, "ratio": 1.0}
    rows.setdefault(TUNED, rows[HAND] | {"name": TUNED})
    return [rows[name] for name in (DEFAULT, *autoschedulers_for(bench.kernel.backend), HAND, TUNED)]


def _measure_pair(bench: Bench, hand: Compiled, compiled: Compiled, name: str) -> Result:
    if not compiled.library:
        return Result("refused", name, compiled.detail)
    subject = replace(bench.subject, first_limit=_FIRST_LIMIT)
    return measure_afresh(subject, {_BASE: hand, name: compiled}, _ROUNDS, _PROCESSES, _SECONDS)


def _row(name: str, pair: Result, hand_ms: float) -> dict[str, object]:
    row = {"name": name, "outcome": pair.outcome, "detail": pair.detail}
    if pair.seconds.get(name):
        ratio, low, high = pair.ratio(name, _BASE)
        row |= {"ms": ratio * hand_ms, "low_ms": low * hand_ms, "high_ms": high * hand_ms, "ratio": ratio}
    return row
