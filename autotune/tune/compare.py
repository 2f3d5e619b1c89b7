"""Beside each other, in one run: the default schedule, Halide's autoschedulers, the hand schedule, the tuned one."""

import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from tune.compiling import Compiled
from tune.measuring import Result, measure
from tune.problem import Problem
from tune.search import HAND, Bench

DEFAULT, TUNED = "default", "tuned"
_SECONDS = 8.0  # of measuring
_FEWEST_ROUNDS, _MOST_ROUNDS = 5, 40
_FAR = 20.0  # times the hand schedule's time
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
    """A row for each: name, outcome, detail, ms, low_ms, high_ms, and ratio to hand. tuned: none where hand is best."""
    rivals = compile_rivals(bench, problem, threads) | ({TUNED: bench.prepare(tuned)} if tuned else {})
    hand = bench.prepare({})
    subject = replace(bench.subject, first_limit=_FIRST_LIMIT)
    alone = {}
    for name, compiled in rivals.items():
        pair = {HAND: hand, name: compiled}
        alone[name] = measure(subject, pair, 3) if compiled.library else Result("refused", name, compiled.detail)
    # What is far behind would spend the time, and the caches, of all others.
    near = [name for name, result in alone.items() if result.outcome == "ok" and result.ratio(name, HAND)[0] < _FAR]
    start = time.monotonic()

    def go_on(seconds: dict[str, list[float]]) -> bool:
        return len(seconds[HAND]) < _FEWEST_ROUNDS or time.monotonic() - start < _SECONDS

    entrants = {HAND: hand, **{name: rivals[name] for name in near}}
    together = measure(replace(subject, first_limit=len(entrants) * _FIRST_LIMIT), entrants, _MOST_ROUNDS, go_on)
    order = (DEFAULT, *autoschedulers_for(bench.kernel.backend), HAND)
    rows = [_row(name, together if name in entrants else alone[name]) for name in order]
    return [*rows, _row(TUNED, together) if tuned else rows[-1] | {"name": TUNED}]


def _row(name: str, result: Result) -> dict[str, object]:
    kept = result.record(name, HAND)
    if "ms" in kept:  # a comparison that ended early for its time is whole
        kept["outcome"] = "ok"
    shown = ("outcome", "detail", "ms", "low_ms", "high_ms", "ratio")
    return {"name": name} | {key: kept[key] for key in shown if key in kept}
