"""Checks and times candidates in a process of their own (replay.py): whatever they do there costs one trial."""

import json
import math
import os
import queue
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from autotune.origin import ROOT
from autotune.tune.compiling import Compiled

HAND = "hand"  # the schedule that candidates are measured beside
SHORTEST_SAMPLE = 4e-3  # seconds; shorter calls are repeated within a sample
TOLERANCE = 1e-4  # of the largest element, in float32
_MOST_TOLERANCE = 1e-2


@dataclass(frozen=True)
class Subject:
    """What is measured, and where."""

    problem: Path
    reference: Path
    runtime: Path
    threads: int
    tolerance: float = TOLERANCE  # of the largest element of an output
    pool: Path | None = None  # the library with the threads of a processor; None: those of Halide's runtime
    first_limit: float = 60  # seconds that loading, checking and two warm calls of all candidates may take
    round_limit: float = 30  # seconds that a round may take


@dataclass(frozen=True)
class Result:
    """How candidates came through: the seconds of one call in each round, by name; or what went wrong with `name`."""

    outcome: str  # ok, pruned, wrong, crash, hang
    name: str = ""
    detail: str = ""
    seconds: dict[str, list[float]] = field(default_factory=dict)
    error: dict[str, float] = field(default_factory=dict)

    def ratio(self, name: str, base: str) -> tuple[float, float, float]:
        """Median and quartiles of the rounds' ratios name : base."""
        return quartiles([a / b for a, b in zip(self.seconds[name], self.seconds[base])])

    def record(self, name: str, base: str) -> dict[str, object]:
        """What is kept of a measurement of `name` beside `base`."""
        kept: dict[str, object] = {"outcome": self.outcome, "detail": self.detail}
        if self.seconds.get(name):
            ratio, low, high = self.ratio(name, base)
            ms, low_ms, high_ms = self.milliseconds(name)
            kept |= {"ratio": ratio, "low": low, "high": high, "rounds": len(self.seconds[name]), "ms": ms,
                     "low_ms": low_ms, "high_ms": high_ms, "base_ms": self.milliseconds(base)[0],
                     "error": self.error.get(name, 0.0)}
        return kept

    def milliseconds(self, name: str) -> tuple[float, float, float]:
        """Median and quartiles."""
        return quartiles([1e3 * s for s in self.seconds[name]])


def quartiles(values: list[float]) -> tuple[float, float, float]:
    """(median, low, high)."""
    if len(values) == 1:
        return values[0], values[0], values[0]
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return median, low, high


def is_slower(ratio: float, low: float) -> bool:
    """Whether a ratio says so, with its lower quartile: by more than the measurement's spread."""
    return ratio > 1.01 and low > 1


class _Failed(Exception):
    def __init__(self, outcome: str, name: str, detail: str):
        super().__init__(detail)
        self.outcome, self.name, self.detail = outcome, name, detail


def measure(
    subject: Subject,
    candidates: dict[str, Compiled],
    rounds: int,
    go_on: Callable[[dict[str, list[float]]], bool] = lambda _: True,
) -> Result:
    """Times candidates in turn for so many rounds, or until go_on(seconds so far) is false after one: pruned."""
    task = _task(subject, candidates, str(subject.reference))
    result = Result("ok", seconds={name: [] for name in candidates})
    try:
        with _replay(subject, task) as answers:
            for name in candidates:
                result.error[name] = answers.next("checked", subject.first_limit, name)["error"]
            answers.next("ready", subject.first_limit, list(candidates)[-1])
            for _ in range(rounds):
                answers.say("round")
                seconds = answers.next("round", subject.round_limit, list(candidates)[-1])["seconds"]
                for name, value in seconds.items():
                    result.seconds[name].append(value)
                if not go_on(result.seconds):
                    return Result("pruned", seconds=result.seconds, error=result.error)
    except _Failed as failed:
        return Result(failed.outcome, failed.name, failed.detail)
    return result


def measure_afresh(
    subject: Subject, candidates: dict[str, Compiled], rounds: int, processes: int, seconds: float = math.inf
) -> Result:
    """As measure(), in several processes one after the other: pages lie elsewhere in each, and that makes a
    difference. rounds: in each process; fewer where they have taken so many seconds."""
    whole = Result("ok", seconds={name: [] for name in candidates})
    for _ in range(processes):
        end = time.monotonic() + seconds
        part = measure(subject, candidates, rounds, lambda _, end=end: time.monotonic() < end)
        if part.outcome not in ("ok", "pruned"):
            return part
        for name, found in part.seconds.items():
            whole.seconds[name].extend(found)
        whole.error.update(part.error)
    return whole


def with_tolerance(subject: Subject, hand: Compiled) -> Subject:
    """The same with the difference from the reference that candidates may have: where a ReLU's argument is all but 0,
    float32 and float64 may take different sides of the kink, whatever the schedule, so that candidates may err twice as
    much as the hand schedule does. RuntimeError: the hand schedule failed."""
    result = measure(replace(subject, tolerance=_MOST_TOLERANCE), {HAND: hand}, 1)
    if result.outcome != "ok":
        raise RuntimeError(f"the hand schedule failed: {result.outcome}, {result.detail}")
    return replace(subject, tolerance=max(TOLERANCE, 2 * result.error[HAND]))


def write_reference(subject: Subject, compiled: Compiled) -> None:
    """The results of this candidate, a kernel for float64, become the reference."""
    subject.reference.parent.mkdir(parents=True, exist_ok=True)
    part = subject.reference.with_suffix(f".{os.getpid()}.part.npz")
    task = _task(subject, {"reference": compiled}, None) | {"write_reference": str(part), "float64": True,
                                                          "tolerance": float("inf")}
    try:
        with _replay(subject, task) as answers:
            answers.next("checked", 4 * subject.first_limit, "reference")
    except _Failed as failed:
        what = f"the reference of {subject.problem.name} failed"
        raise RuntimeError(f"{what}: {failed.outcome}, {failed.detail}") from None
    part.replace(subject.reference)


def _task(subject: Subject, candidates: dict[str, Compiled], reference: str | None) -> dict[str, object]:
    return {
        "runtime": str(subject.runtime),
        "pool": str(subject.pool) if subject.pool else None,
        "problem": str(subject.problem),
        "reference": reference,
        "tolerance": subject.tolerance,
        "write_reference": None,
        "float64": False,
        "candidates": [
            {"name": name, "library": str(c.library), "symbol": c.symbol} for name, c in candidates.items()
        ],
        "shortest_sample": SHORTEST_SAMPLE,
    }


class _Answers:
    """The lines that the process sends, as they come."""

    def __init__(self, process: subprocess.Popen):
        self._process = process
        self._lines: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put(None)

    def say(self, line: str) -> None:
        try:
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # next() finds out how the process ended

    def next(self, event: str, limit: float, name: str) -> dict[str, object]:
        """The next answer. name: whose turn it is, for what goes wrong."""
        while True:
            try:
                line = self._lines.get(timeout=limit)
            except queue.Empty:
                raise _Failed("hang", name, f"no answer within {limit:.0f} s") from None
            if line is None:
                raise _Failed("crash", name, self._end())
            try:
                answer = json.loads(line)
            except json.JSONDecodeError:
                continue  # what a candidate printed
            if answer.get("event") == "wrong":
                raise _Failed("wrong", answer["name"], answer["detail"])
            if answer.get("event") == event:
                return answer

    def _end(self) -> str:
        status = self._process.wait()
        said = self._process.stderr.read().strip()[-300:]
        how = signal.Signals(-status).name if status < 0 else f"status {status}"
        return f"{how}: {said}" if said else how


@contextmanager
def _replay(subject: Subject, task: dict[str, object]) -> Iterator[_Answers]:
    environment = dict(os.environ, PYTHONPATH=str(ROOT), HL_NUM_THREADS=str(subject.threads),
                       OMP_NUM_THREADS=str(subject.threads))
    process = subprocess.Popen(
        [sys.executable, "-m", "autotune.tune.replay"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
        start_new_session=True,  # Ctrl-C is for the tuner, which ends its children itself
    )
    try:
        answers = _Answers(process)
        answers.say(json.dumps(task))
        yield answers
    finally:
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            try:
                stream.close()
            except BrokenPipeError:
                pass
