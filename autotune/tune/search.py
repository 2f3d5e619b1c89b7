"""The search: Optuna proposes, a compiler makes, a clock decides."""

import json
import random
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

from tune.compiling import Candidate, Compiled, Compiler, candidate
from tune.kernels import Kernel
from tune.measuring import HAND, Result, Subject, measure, measure_afresh
from tune.storage import is_alive, owner, reclaim

_STEPS = (3, 8, 16)  # rounds after which a trial reports, and may be pruned
_CONFIRMED = 3  # candidates that are measured afresh in the end
_CONFIRMING_PROCESSES, _CONFIRMING_ROUNDS = 5, 8


class Space:
    """The legal values of a kernel's knobs, as its schedule declares them."""

    def __init__(self, declared: dict):
        self.declared = declared
        self.names: list[str] = [knob["name"] for knob in declared["knobs"]]
        self.values: dict[str, list[int]] = {knob["name"]: knob["values"] for knob in declared["knobs"]}
        self.hand: dict[str, int] = {knob["name"]: knob["hand"] for knob in declared["knobs"]}
        self.legal: set[tuple[int, ...]] = {tuple(point) for point in declared["legal"]}

    def parameters(self, point: tuple[int, ...]) -> dict[str, int]:
        """The knobs' values at a point (the index of each one's value)."""
        return {name: self.values[name][index] for name, index in zip(self.names, point)}

    def indices(self, parameters: Mapping[str, int]) -> dict[str, int]:
        """The other way round."""
        return {name: self.values[name].index(parameters[name]) for name in self.names}

    def nearest(self, point: tuple[int, ...], known: set[tuple[int, ...]], chance: random.Random) -> tuple[int, ...]:
        """The legal point next to this one that is not among the known; there is one. Chance decides among equals."""
        steps = [max(1, len(self.values[name]) - 1) for name in self.names]

        def distance(other: tuple[int, ...]) -> float:
            return sum(abs(a - b) / step for a, b, step in zip(point, other, steps))

        distances = {other: distance(other) for other in self.legal if other not in known}
        least = min(distances.values())
        return chance.choice(sorted(other for other, found in distances.items() if found <= least + 1e-9))


class Evaluator(Protocol):
    """What compiles and measures, or tells what was measured before."""

    def prepare(self, parameters: Mapping[str, int]) -> object:
        """Compiles; called in parallel."""

    def evaluate(self, prepared: object, report: Callable[[int, float], bool]) -> dict[str, object]:
        """Measures one; report(step, ratio) says whether to go on. Returns the trial's record: outcome, ratio, ..."""

    def confirm(self, finalists: list[Mapping[str, int]]) -> list[dict[str, object]]:
        """Measures them afresh beside the incumbent: a record of each."""


class Bench:
    """Measures candidates of one problem against the incumbent, interleaved, and notes every timing in a file."""

    def __init__(self, kernel: Kernel, target: str, compiler: Compiler, subject: Subject, incumbent: Mapping[str, int],
                 notes: Path | None = None):
        self.kernel, self.target, self.compiler, self.subject, self.notes = kernel, target, compiler, subject, notes
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
        return [self._confirm(self.prepare(parameters)) for parameters in finalists]

    def _confirm(self, prepared: Compiled) -> dict[str, object]:
        pair = {HAND: self._incumbent, "candidate": prepared}
        result = measure_afresh(self.subject, pair, _CONFIRMING_ROUNDS, _CONFIRMING_PROCESSES)
        return result.record("candidate", HAND)

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


@dataclass(frozen=True)
class Outcome:
    """What a search found: the fastest parameters that are right, measured afresh beside the hand schedule; the hand
    schedule where that is no worse."""

    parameters: dict[str, int]
    record: dict[str, object]
    trials: int
    counts: dict[str, int] = field(default_factory=dict)  # by outcome

    @property
    def better(self) -> bool:
        """Faster than the hand schedule by more than the measurement's spread."""
        return self.record.get("outcome") == "ok" and self.record["ratio"] < 0.98 and self.record["high"] < 1


def create_study(storage: optuna.storages.BaseStorage, name: str, seed: int) -> optuna.Study:
    """The study of this name, new or as it was left."""
    sampler = optuna.samplers.TPESampler(seed=seed, multivariate=True, constant_liar=True, n_startup_trials=12)
    pruner = optuna.pruners.MedianPruner(n_startup_trials=6, n_warmup_steps=0)
    return optuna.create_study(
        storage=storage, study_name=name, sampler=sampler, pruner=pruner, load_if_exists=True, direction="minimize"
    )


def _answer(trial: optuna.trial.FrozenTrial, none: str | None = None) -> str | None:
    """The outcome of a trial; `none` where it has none, and None for a proposal that was not to be measured."""
    outcome = trial.user_attrs.get("outcome", none)
    return None if outcome in ("illegal", "seen") else outcome


class Search:
    """One kernel at one shape. run() may be called again on the same study, by this process or another."""

    def __init__(self, study: optuna.Study, space: Space, evaluator: Evaluator, workers: int, seed: int):
        self.study, self.space, self.evaluator, self.workers = study, space, evaluator, workers
        self._random = random.Random(seed)

    def run(self, trials: int, budget: float, title: str = "") -> None:
        """Until so many trials are measured in this study, or for `budget` seconds, or the space is exhausted.

        Ctrl-C ends it with everything measured so far kept.
        """
        end = time.monotonic() + budget
        reclaim(self.study, is_alive)
        if not self.study.get_trials(deepcopy=False):
            self.study.enqueue_trial(self.space.indices(self.space.hand))
        with (
            ThreadPoolExecutor(self.workers) as pool,
            tqdm(total=trials, initial=min(trials, self._finished()), desc=title, unit="trial", leave=True) as bar,
        ):
            while (missing := trials - self._finished()) > 0 and time.monotonic() < end:
                batch = self._propose(min(2 * self.workers, missing))
                if not batch:
                    break
                # All are compiled before one is timed: a compiler at work would be heard in the timings.
                waiting = list(batch)
                try:
                    prepared = list(pool.map(self.evaluator.prepare, [parameters for _, parameters in batch]))
                    for (trial, parameters), ready in zip(batch, prepared):
                        if time.monotonic() > end:
                            break
                        self._measure(trial, parameters, ready)
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
        trials = self.study.get_trials(deepcopy=False)
        outcomes = [_answer(t, "lost" if t.state == TrialState.FAIL else None) for t in trials]
        counts = dict(Counter(outcome for outcome in outcomes if outcome))
        alike = {"outcome": "ok", "ratio": 1.0, "low": 1.0, "high": 1.0}
        hand = Outcome(dict(self.space.hand), alike, self._finished(), counts)
        if not finalists:
            return hand
        records = self.evaluator.confirm(finalists)
        for parameters, record in zip(finalists, records):
            self.evaluator.note({"parameters": parameters, "confirmed": record})
        right = [(r["ratio"], k) for k, r in enumerate(records) if r["outcome"] == "ok"]
        if not right:
            return hand
        _, best = min(right)
        found = Outcome(dict(finalists[best]), records[best], self._finished(), counts)
        return found if found.better else hand

    def _finished(self) -> int:
        """Trials with an answer, whatever it is."""
        return sum(_answer(trial) is not None for trial in self.study.get_trials(deepcopy=False))

    def _seen(self) -> set[tuple[int, ...]]:
        """Points that were measured, or are under way."""
        return {
            tuple(t.params[name] for name in self.space.names)
            for t in self.study.get_trials(deepcopy=False)
            if (t.state == TrialState.RUNNING or _answer(t))
            and all(name in t.params for name in self.space.names)
        }

    def _propose(self, count: int) -> list[tuple[optuna.Trial, dict[str, int]]]:
        """New legal points; fewer where the space has no more."""
        batch, known = [], self._seen()
        while len(batch) < count and not self.space.legal <= known:
            trial, point = self._propose_one(known)
            known.add(point)
            parameters = self.space.parameters(point)
            trial.set_user_attr("parameters", parameters)
            batch.append((trial, parameters))
        return batch

    def _propose_one(self, known: set[tuple[int, ...]]) -> tuple[optuna.Trial, tuple[int, ...]]:
        """What the sampler wants; in place of what is known or illegal the point next to it, which it learns from."""
        while True:
            trial = self.study.ask()
            trial.set_user_attr("owner", owner())
            point = tuple(
                trial.suggest_int(name, 0, len(self.space.values[name]) - 1) for name in self.space.names
            )
            if point in self.space.legal and point not in known:
                return trial, point
            trial.set_user_attr("outcome", "seen" if point in known else "illegal")
            self.study.tell(trial, state=TrialState.FAIL)
            nearest = self.space.nearest(point, known, self._random)
            self.study.enqueue_trial(dict(zip(self.space.names, nearest)))

    def _measure(self, trial: optuna.Trial, parameters: dict[str, int], prepared: object) -> None:
        def report(step: int, ratio: float) -> bool:
            trial.report(ratio, step)
            return not trial.should_prune()

        record = self.evaluator.evaluate(prepared, report)
        self.evaluator.note({"parameters": parameters, "record": record})
        for name, value in record.items():
            if name != "steps":
                trial.set_user_attr(name, value)
        if record["outcome"] == "ok":
            self.study.tell(trial, record["ratio"])
        elif record["outcome"] == "pruned":
            self.study.tell(trial, state=TrialState.PRUNED)
        else:
            self.study.tell(trial, state=TrialState.FAIL)

    def _put_back(self, batch: list[tuple[optuna.Trial, dict[str, int]]]) -> None:
        """For the next run: what was proposed and not measured."""
        for trial, _ in batch:
            self.study.tell(trial, state=TrialState.FAIL)
            self.study.enqueue_trial(dict(trial.params))

    def _best_text(self) -> str:
        complete = self.study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        values = [t.value for t in complete if t.user_attrs["parameters"] != self.space.hand]
        return f"best {min(values):.3f} of hand" if values else "none right yet"
