"""The search: Optuna proposes, a compiler makes, a clock decides."""

import json
import time
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import optuna
from optuna.trial import TrialState
from tqdm import tqdm

from autotune.tune.compiling import Candidate, Compiled, Compiler, candidate
from autotune.tune.kernels import Kernel, TuneError
from autotune.tune.measuring import HAND, Result, Subject, is_slower, measure, measure_afresh
from autotune.tune.proposals import BATCH, RETURNED, Proposer, SlowerThanMost, answer, history
from autotune.tune.space import Space
from autotune.tune.storage import BEGUN, conclude, is_alive, owner, reclaim

_STEPS = (3, 8, 16)  # rounds after which a trial reports, and may be pruned
_CONFIRMED = 3  # candidates that are measured afresh in the end
_CONFIRMING_PROCESSES, _CONFIRMING_ROUNDS = 5, 8
_NEIGHBOUR_PROCESSES = 3  # of as many rounds


class Evaluator(Protocol):
    """What compiles and measures, or tells what was measured before."""

    def prepare(self, parameters: Mapping[str, int]) -> object:
        """Compiles; called in parallel."""

    def evaluate(self, prepared: object, report: Callable[[int, float], bool]) -> dict[str, object]:
        """Measures one; report(step, ratio) says whether to go on. Returns the trial's record: outcome, ratio, ..."""

    def confirm(self, finalists: list[Mapping[str, int]]) -> list[dict[str, object]]:
        """Measures them afresh beside the incumbent: a record of each, of the best also at neighbouring sizes."""


class Bench:
    """Measures candidates of one problem against the incumbent, interleaved, and notes every timing in a file.

    neighbours: calls of other sizes that would take the kernel too, by shape; None for one that runs another kernel.
    """

    def __init__(self, kernel: Kernel, target: str, compiler: Compiler, subject: Subject, incumbent: Mapping[str, int],
                 notes: Path | None = None, neighbours: Mapping[str, Callable[[], Subject | None]] | None = None):
        self.kernel, self.target, self.compiler, self.subject, self.notes = kernel, target, compiler, subject, notes
        self._neighbours = neighbours or {}
        self._incumbent = self.prepare(incumbent)
        if not self._incumbent.library:
            raise RuntimeError(f"{kernel.symbol}: the hand schedule was not compiled: {self._incumbent.detail}")

    def candidate(self, parameters: Mapping[str, int]) -> Candidate:
        return candidate(self.kernel, self.target, parameters)

    def prepare(self, parameters: Mapping[str, int]) -> Compiled:
        return self.compiler.compile(self.candidate(parameters))

    def evaluate(self, prepared: Compiled, report: Callable[[int, float], bool]) -> dict[str, object]:
        if not prepared.library:
            return {"outcome": prepared.outcome, "detail": prepared.detail, "compile_seconds": prepared.seconds}

        steps: list[list[float]] = []

        def go_on(seconds: dict[str, list[float]]) -> bool:
            rounds = len(seconds["candidate"])
            if rounds not in _STEPS:
                return True
            ratio = Result("ok", seconds=seconds).ratio("candidate", HAND)[0]
            steps.append([rounds, ratio])
            return report(rounds, ratio) or rounds == _STEPS[-1]  # nothing is saved by giving up at the end

        result = measure(self.subject, {HAND: self._incumbent, "candidate": prepared}, _STEPS[-1], go_on)
        return result.record("candidate", HAND) | {"steps": steps, "compile_seconds": prepared.seconds}

    def confirm(self, finalists: list[Mapping[str, int]]) -> list[dict[str, object]]:
        """Of those that are faster than the incumbent, the best first, until one is not slower at any neighbour."""
        prepared = [self.prepare(parameters) for parameters in finalists]
        records = [self._confirm(self.subject, one, _CONFIRMING_PROCESSES) for one in prepared]
        faster = [k for k, record in enumerate(records) if is_faster(record)]
        for k in sorted(faster, key=lambda k: records[k]["ratio"]):
            records[k]["neighbours"] = [self._at_neighbour(shape, prepared[k]) for shape in self._neighbours]
            if not slower_at(records[k]):
                break
        return records

    def _confirm(self, subject: Subject, prepared: Compiled, processes: int) -> dict[str, object]:
        pair = {HAND: self._incumbent, "candidate": prepared}
        return measure_afresh(subject, pair, _CONFIRMING_ROUNDS, processes).record("candidate", HAND)

    def _at_neighbour(self, shape: str, prepared: Compiled) -> dict[str, object]:
        try:
            subject = self._neighbours[shape]()
        except TuneError as error:
            return {"shape": shape, "outcome": "refused", "detail": str(error)}
        if not subject:
            return {"shape": shape, "outcome": "ok", "detail": "runs another kernel"}
        return {"shape": shape} | self._confirm(subject, prepared, _NEIGHBOUR_PROCESSES)

    def note(self, entry: dict[str, object]) -> None:
        """One line of the timing file."""
        if self.notes:
            with self.notes.open("a") as file:
                file.write(json.dumps(entry) + "\n")


class Recording:
    """Answers from a timing file instead of a clock. ValueError: the file is none, or that of another kernel."""

    def __init__(self, file: Path, space: Space):
        try:
            entries = [json.loads(line) for line in file.read_text().splitlines()]
            strange = [e for e in entries if set(e["parameters"]) != set(space.names)]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{file}: this is no timing file ({type(error).__name__}: {error})") from None
        if strange:
            theirs = ", ".join(sorted(strange[0]["parameters"]))
            raise ValueError(f"{file}: these are timings of another kernel, which has the parameters {theirs}")
        self._trials = {_key(e["parameters"]): e["record"] for e in entries if "record" in e}
        self._confirmed = {_key(e["parameters"]): e["confirmed"] for e in entries if "confirmed" in e}

    def prepare(self, parameters: Mapping[str, int]) -> Mapping[str, int]:
        return parameters

    def evaluate(self, prepared: Mapping[str, int], report: Callable[[int, float], bool]) -> dict[str, object]:
        record = self._trials.get(_key(prepared))
        if record is None:
            return {"outcome": "refused", "detail": "not in the timing file"}
        for rounds, ratio in record.get("steps", []):
            if not report(rounds, ratio):
                break
        return record

    def confirm(self, finalists: list[Mapping[str, int]]) -> list[dict[str, object]]:
        missing = {"outcome": "refused", "detail": "not in the timing file"}
        return [self._confirmed.get(_key(parameters), missing) for parameters in finalists]

    def note(self, entry: dict[str, object]) -> None:
        """It is written down already."""


def _key(parameters: Mapping[str, int]) -> tuple:
    return tuple(sorted(parameters.items()))


def is_faster(record: Mapping[str, object]) -> bool:
    """Than the hand schedule, by more than the measurement's spread, where it was measured."""
    return record["outcome"] == "ok" and record["ratio"] < 0.98 and record["high"] < 1


def slower_at(record: Mapping[str, object]) -> list[dict[str, object]]:
    """The records of the neighbouring sizes that speak against a candidate: it is slower there, or not right."""
    return [
        one for one in record.get("neighbours", [])
        if one["outcome"] != "ok" or ("ratio" in one and is_slower(one["ratio"], one["low"]))
    ]


@dataclass(frozen=True)
class Outcome:
    """What a search found: the fastest parameters that are right, measured afresh beside the hand schedule; the hand
    schedule where that is no worse, or where they are slower than it at a neighbouring size."""

    parameters: dict[str, int]
    record: dict[str, object]
    trials: int
    counts: dict[str, int] = field(default_factory=dict)  # by outcome

    @property
    def better(self) -> bool:
        """Faster than the hand schedule, and at no neighbouring size slower."""
        return is_faster(self.record) and not slower_at(self.record)


def create_study(storage: optuna.storages.BaseStorage, name: str, seed: int) -> optuna.Study:
    """The study of this name and seed, new or as it was left. Search brings its sampler."""
    return optuna.create_study(
        storage=storage, study_name=f"{name} seed {seed}", pruner=SlowerThanMost(), load_if_exists=True,
        direction="minimize",
    )


class Search:
    """One kernel at one shape. run() may be called again on the same study, by this process or another."""

    def __init__(self, study: optuna.Study, space: Space, evaluator: Evaluator, workers: int, seed: int):
        self.study, self.space, self.evaluator, self.workers = study, space, evaluator, workers
        self.study.sampler = self._proposer = Proposer(space, seed)

    def run(self, trials: int, budget: float, title: str = "") -> None:
        """Until so many trials are measured in this study, or for `budget` seconds, or the space is exhausted.

        Ctrl-C ends it with everything measured so far kept.
        """
        end = time.monotonic() + budget
        for given_up in reclaim(self.study, is_alive):
            record = {name: given_up.user_attrs[name] for name in ("outcome", "detail")}
            self.evaluator.note({"parameters": given_up.user_attrs["parameters"], "record": record})
        with (
            ThreadPoolExecutor(self.workers) as pool,
            tqdm(total=trials, initial=min(trials, self._finished()), desc=title, unit="trial", leave=True) as bar,
        ):
            while (missing := trials - self._finished()) > 0 and time.monotonic() < end:
                waiting: list[tuple[optuna.Trial, dict[str, int]]] = []
                try:
                    self._propose(waiting, min(BATCH - len(history(self.study)) % BATCH, missing))
                    if not waiting:
                        break
                    # All are compiled before one is timed: a compiler at work would be heard in the timings.
                    prepared = list(pool.map(self.evaluator.prepare, [parameters for _, parameters in waiting]))
                    for ready in prepared:
                        if time.monotonic() > end:
                            break
                        self._measure(*waiting[0], ready)
                        waiting.pop(0)
                        bar.n = min(trials, self._finished())
                        bar.set_postfix_str(self._best_text(), refresh=True)
                finally:
                    self._put_back(waiting)

    def choose(self) -> Outcome:
        """The fastest of the best few, measured afresh; the hand schedule where none is faster."""
        complete = sorted(self.study.get_trials(states=(TrialState.COMPLETE,)), key=lambda t: (t.value, t.number))
        finalists = [t.user_attrs["parameters"] for t in complete if t.user_attrs["parameters"] != self.space.hand]
        finalists = finalists[:_CONFIRMED]
        counts = dict(Counter(filter(None, map(answer, self.study.get_trials(deepcopy=False)))))
        alike = {"outcome": "ok", "ratio": 1.0, "low": 1.0, "high": 1.0}
        if not finalists:
            return Outcome(dict(self.space.hand), alike, self._finished(), counts)
        records = self.evaluator.confirm(finalists)
        for parameters, record in zip(finalists, records):
            self.evaluator.note({"parameters": parameters, "confirmed": record})
        found = [Outcome(dict(p), record, self._finished(), counts) for p, record in zip(finalists, records)]
        faster = sorted((o for o in found if is_faster(o.record)), key=lambda o: o.record["ratio"])
        refused = [one for outcome in faster for one in slower_at(outcome.record)]
        kept = alike | ({"slower_at": refused} if refused else {})
        hand = Outcome(dict(self.space.hand), kept, self._finished(), counts)
        return next((outcome for outcome in faster if outcome.better), hand)

    def _finished(self) -> int:
        """Trials with an answer, whatever it is."""
        return sum(answer(trial) is not None for trial in self.study.get_trials(deepcopy=False))

    def _propose(self, batch: list[tuple[optuna.Trial, dict[str, int]]], count: int) -> None:
        """Adds so many new legal points to the batch; fewer where the space has no more."""
        while len(batch) < count and not self.space.legal <= self._proposer.known(self.study):
            trial = self.study.ask(self._proposer.distributions)
            parameters = self.space.parameters(tuple(trial.params[name] for name in self.space.names))
            batch.append((trial, parameters))
            trial.set_user_attr("owner", owner())
            trial.set_user_attr("parameters", parameters)

    def _measure(self, trial: optuna.Trial, parameters: dict[str, int], prepared: object) -> None:
        def report(step: int, ratio: float) -> bool:
            trial.report(ratio, step)
            return not trial.should_prune()

        trial.set_user_attr(BEGUN, True)
        record = self.evaluator.evaluate(prepared, report)
        self.evaluator.note({"parameters": parameters, "record": record})
        kept = {name: value for name, value in record.items() if name not in ("steps", "outcome")}
        for name, value in kept.items():
            trial.set_user_attr(name, value)
        trial.set_user_attr("outcome", record["outcome"])  # the last: with it the trial has all that it needs
        conclude(self.study, trial.number, record)

    def _put_back(self, batch: list[tuple[optuna.Trial, dict[str, int]]]) -> None:
        """What was proposed and not measured: the next run proposes it again, from the same answers."""
        for trial, _ in batch:
            if "outcome" not in trial.user_attrs:
                trial.set_user_attr("outcome", RETURNED)
            conclude(self.study, trial.number, trial.user_attrs)

    def _best_text(self) -> str:
        complete = self.study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        values = [t.value for t in complete if t.user_attrs["parameters"] != self.space.hand]
        return f"best {min(values):.3f} of hand" if values else "none right yet"
