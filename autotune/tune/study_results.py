"""What a study found, for its report: trials by outcome, the best so far, important parameters, cells of a heat map."""

import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import optuna
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
from optuna.trial import FrozenTrial

AUTOSCHEDULERS = ("mullapudi2016", "adams2019", "anderson2021")
RIVALS = ("default", *AUTOSCHEDULERS)  # in the order of tables
FAILURES = ("refused", "wrong", "crash", "hang")
OUTCOMES = ("ok", "pruned", *FAILURES)
_LEAST_TRIALS = 10  # that importances are computed from
_TOP_TRIALS = 5  # the evaluator's advice: at least so many in the best group, of a tenth of the trials


@dataclass(frozen=True)
class TrialResult:
    number: int
    outcome: str
    detail: str
    ratio: float | None
    parameters: dict[str, int]
    attributes: dict[str, object]


@dataclass
class Cell:
    """Of a heat map: how many trials had its parameters, and the best that was measured among them."""

    trials: int = 0
    best: float | None = None


@dataclass
class StudyResult:
    """`chosen` are the parameters of the tuned kernel: the best trial's, where no comparison says otherwise."""

    study: optuna.Study
    chosen: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        best = self.best
        if not self.chosen and best is not None:
            self.chosen = best.parameters

    @cached_property
    def about(self) -> dict:
        return self.study.user_attrs

    @cached_property
    def space(self) -> dict:
        return self.about["space"]

    @cached_property
    def hand(self) -> dict[str, int]:
        return {knob["name"]: knob["hand"] for knob in self.space["knobs"]}

    @cached_property
    def trials(self) -> list[TrialResult]:
        """Those that came to an outcome, numbered from 1; what was lost or put back does not count."""
        found = [t for t in self.study.get_trials(deepcopy=False) if t.user_attrs.get("outcome") in OUTCOMES]
        return [_trial(number, trial) for number, trial in enumerate(found, 1)]

    @cached_property
    def best(self) -> TrialResult | None:
        measured = [trial for trial in self.trials if _is_measured(trial)]
        return min(measured, key=lambda trial: trial.ratio, default=None)

    def counts(self) -> dict[str, int]:
        """How many trials came to each outcome."""
        outcomes = [trial.outcome for trial in self.trials]
        return {outcome: outcomes.count(outcome) for outcome in OUTCOMES if outcome in outcomes}

    def best_so_far(self) -> list[tuple[int, float]]:
        """The trials that were better than all before: number, ratio."""
        steps: list[tuple[int, float]] = []
        for trial in self.trials:
            if _is_measured(trial) and (not steps or trial.ratio < steps[-1][1]):
                steps.append((trial.number, trial.ratio))
        return steps

    @cached_property
    def importances(self) -> dict[str, float]:
        """The most important parameter first; empty where `why_no_importances`."""
        if self.why_no_importances:
            return {}
        evaluator = PedAnovaImportanceEvaluator(target_quantile=max(0.1, _TOP_TRIALS / self._measured))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of few trials; the picture says how many
            found = get_param_importances(self.study, evaluator=evaluator)
        return found if sum(found.values()) > 0 else {}

    @cached_property
    def why_no_importances(self) -> str:
        if len(self.varied) < 2:
            return f"{'Only one' if self.varied else 'No'} parameter has more than one value."
        if self._measured < _LEAST_TRIALS:
            trials = f"{self._measured or 'No'} measured trial{'' if self._measured == 1 else 's'}"
            return f"{trials}: too few to say which parameters are important ({_LEAST_TRIALS} are needed)."
        return ""

    @property
    def _measured(self) -> int:
        return sum(map(_is_measured, self.trials))

    @cached_property
    def varied(self) -> list[str]:
        """Parameters that have more than one value in the space."""
        return [knob["name"] for knob in self.space["knobs"] if len(knob["values"]) > 1]

    def most_important(self, count: int) -> list[str]:
        """In the order of the space where importances are not known."""
        ranked = [name for name in self.importances if name in self.varied]
        return [*ranked, *(name for name in self.varied if name not in ranked)][:count]

    def shown_values(self, name: str, most: int) -> list[int]:
        """A parameter's values; where they are too many, the hand schedule's, the chosen, those tried most often."""
        values = next(knob["values"] for knob in self.space["knobs"] if knob["name"] == name)
        tried = Counter(trial.parameters.get(name) for trial in self.trials)
        marked = (self.hand.get(name), self.chosen.get(name))
        return sorted(sorted(values, key=lambda value: (value not in marked, -tried[value]))[:most])

    def grid(self, names: Sequence[str]) -> dict[tuple[int | None, int | None], Cell]:
        """By the values of one or two parameters (None: there is no second)."""
        cells: dict[tuple[int | None, int | None], Cell] = {}
        for trial in self.trials:
            place = [trial.parameters.get(name) for name in names] + [None] * (2 - len(names))
            cell = cells.setdefault((place[0], place[1]), Cell())
            cell.trials += 1
            if _is_measured(trial) and (cell.best is None or trial.ratio < cell.best):
                cell.best = trial.ratio
        return cells


@dataclass(frozen=True)
class Standing:
    """Where the tuned kernel of a comparison stands: how many times its time others take, and it the limit's; None
    where one of the two is not known."""

    hand: float | None
    autoscheduler: float | None  # the best one
    limit: float | None


def standing(comparison: dict) -> Standing:
    times = {c["name"]: c["ms"] for c in comparison["candidates"] if c["outcome"] == "ok" and c.get("ms")}
    scheduled = [times[name] for name in AUTOSCHEDULERS if name in times]
    tuned, limit = times.get("tuned"), comparison.get("limit_ms")
    return Standing(
        times["hand"] / tuned if tuned and "hand" in times else None,
        min(scheduled) / tuned if tuned and scheduled else None,
        tuned / limit if tuned and limit else None,
    )


def short_reason(candidate: dict) -> str:
    """Why a candidate of a comparison was not measured, in a few words."""
    detail = candidate.get("detail", "").strip()
    if "bad_alloc" in detail:
        return "out of memory"
    # What a generator throws comes last.
    last = detail.splitlines()[-1].rpartition("Error: ")[2] if detail else candidate["outcome"]
    return last if len(last) <= 40 else f"{last[:38].rstrip()}…"


def _is_measured(trial: TrialResult) -> bool:
    return trial.outcome == "ok" and trial.ratio is not None


def _trial(number: int, trial: FrozenTrial) -> TrialResult:
    attributes = trial.user_attrs
    ratio = trial.value if attributes["outcome"] in ("ok", "pruned") else None
    return TrialResult(
        number, attributes["outcome"], attributes.get("detail", ""), ratio, attributes.get("parameters", {}),
        attributes,
    )
