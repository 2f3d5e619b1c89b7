"""What is measured next, and what is given up: both follow from the seed and the answers so far alone, and from nothing
that a process keeps to itself, so that a search that was interrupted goes on as if it had not been."""

import random
import statistics

import optuna
from optuna.distributions import BaseDistribution, IntDistribution
from optuna.samplers import BaseSampler, TPESampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState, create_trial

from autotune.tune.space import Space

BATCH = 8  # proposals made without each other's answers, so that they compile side by side; the same on any machine
RETURNED = "returned"  # the outcome of a trial that its process ended before it had one
_RANDOM_TRIALS = 12
_LEAST_OTHERS = 6  # candidates that one is compared with before it is given up


def answer(trial: FrozenTrial) -> str | None:
    """The outcome of a trial; None where it has none: it is under way, or its process left it."""
    outcome = trial.user_attrs.get("outcome") if trial.state.is_finished() else None
    return None if outcome == RETURNED else outcome


def history(study: Study) -> list[FrozenTrial]:
    """The trials that are answered or under way, in their order: the search's own, whatever else befell it."""
    trials = study.get_trials(deepcopy=False)
    return [trial for trial in trials if trial.state == TrialState.RUNNING or answer(trial)]


class Proposer(BaseSampler):
    """Optuna's TPE without a memory. A TPESampler that is made anew draws the random numbers of the first trials once
    more; here every proposal has its own, by the seed and its place in the search, and knows the answers of the
    batches before its own. In place of what is illegal or known already it gives the legal point next to it."""

    def __init__(self, space: Space, seed: int):
        self.distributions = {name: IntDistribution(0, len(values) - 1) for name, values in space.values.items()}
        self._space, self._seed = space, seed

    def known(self, study: Study) -> set[tuple[int, ...]]:
        """Points that were measured, or are under way."""
        return {self._point(trial.params) for trial in history(study) if self._is_whole(trial)}

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return self.distributions

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, int]:
        before = [other for other in history(study) if other.number < trial.number]
        known = self.known(study)
        if self._space.legal <= known:  # another process took the last one at this moment
            known = set()
        chance = random.Random(f"{self._seed}/{len(before)}")
        point = self._wanted(before, chance)
        if point not in self._space.legal or point in known:
            point = self._space.nearest(point, known, chance)
        return dict(zip(self._space.names, point))

    def sample_independent(self, study, trial, param_name, param_distribution):
        raise NotImplementedError(f"{param_name} should be one of {', '.join(self._space.names)}")

    def _wanted(self, before: list[FrozenTrial], chance: random.Random) -> tuple[int, ...]:
        """The hand schedule first, then what TPE wants."""
        if not before:
            return self._point(self._space.indices(self._space.hand))
        sampler = TPESampler(
            seed=chance.getrandbits(32), multivariate=True, constant_liar=True, n_startup_trials=_RANDOM_TRIALS
        )
        answered = len(before) - len(before) % BATCH
        seen = optuna.create_study(sampler=sampler, direction="minimize")
        seen.add_trials(
            trial if place < answered and trial.state.is_finished() else self._under_way(trial)
            for place, trial in enumerate(before) if self._is_whole(trial)
        )
        return self._point(seen.ask(self.distributions).params)

    def _under_way(self, trial: FrozenTrial) -> FrozenTrial:
        return create_trial(state=TrialState.RUNNING, params=trial.params, distributions=self.distributions)

    def _is_whole(self, trial: FrozenTrial) -> bool:
        """False for another process's trial that has no parameters yet."""
        return self._space.values.keys() <= trial.params.keys()

    def _point(self, params: dict[str, int]) -> tuple[int, ...]:
        return tuple(params[name] for name in self._space.names)


class SlowerThanMost(optuna.pruners.BasePruner):
    """Gives a trial up whose last report is above the median of what others reported at that step. Optuna's
    MedianPruner compares a trial's best report so far, and one that was lucky early would run to the end."""

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        step = trial.last_step
        finished = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))
        others = [other.intermediate_values[step] for other in finished if step in other.intermediate_values]
        return len(others) >= _LEAST_OTHERS and trial.intermediate_values[step] > statistics.median(others)
