"""Studies and comparisons that nobody measured, for the tests of the report."""

import itertools
import math
import random

import optuna
from optuna.distributions import IntDistribution
from optuna.trial import TrialState

STATES = {"ok": TrialState.COMPLETE, "pruned": TrialState.PRUNED}
KNOBS = [
    ("unroll_rows", "rows of the output that are computed at once", [1, 2, 4, 8], 4),
    ("channel_block", "channels that one task computes", [8, 16, 32, 64, 128, 256], 32),
    ("vector_layout", "1: along columns, 2: along channels", [1, 2], 1),
    ("recompute", "1: the weights are computed again for every block of channels, 2: they are kept", [1, 2], 2),
    ("tile_columns", "columns of the input that a tile has", [4, 8, 16, 32], 16),
]
KERNEL = {
    "generator": "fns_d_value", "kernel": "fns", "direction": "d_value", "kernel_size": 3, "ratio": 4,
    "dtype": "float32",
}
FILTER = {
    "generator": "guided_filter", "kernel": "guided_filter", "direction": "", "kernel_size": None, "ratio": None,
    "dtype": "float32",
}
SHAPE = "x 2,64,32,32 ratio 4"


def space(knobs: list) -> dict:
    legal = [list(place) for place in itertools.product(*(range(len(values)) for _, _, values, _ in knobs))]
    return {
        "knobs": [dict(zip(("name", "meaning", "values", "hand"), knob)) for knob in knobs],
        "rules": ["a block of rows divides the ratio", "tile_columns * channel_block <= 4096 && rows > 0"],
        "legal": legal,
    }


def make_study(count: int, knobs: list = KNOBS, outcome: str | None = None, kernel: dict = KERNEL, shape: str = SHAPE,
               processor: str = "AMD EPYC", spread: float = 1) -> optuna.Study:
    """Of `count` trials with that outcome; None: most are measured, some pruned, some fail."""
    sampler = optuna.samplers.TPESampler(multivariate=True, seed=1)
    study = optuna.create_study(sampler=sampler)
    about = {
        "kernel": kernel, "class": "x86-64-avx512", "shape": shape, "channels": 64, "pixels": 1024,
        "space": space(knobs), "processor": processor, "threads": 2, "seed": 1,
    }
    for name, value in about.items():
        study.set_user_attr(name, value)
    dice = random.Random(count)
    distributions = {name: IntDistribution(0, len(values) - 1) for name, _, values, _ in knobs}
    for _ in range(count):
        trial = study.ask(distributions)
        parameters = {name: values[trial.params[name]] for name, _, values, _ in knobs}
        _finish(study, trial, parameters, outcome or _outcome(dice), _ratio(parameters, dice, spread))
    if outcome is None:
        study.tell(study.ask(distributions), state=TrialState.FAIL)  # killed
        returned = study.ask(distributions)
        returned.set_user_attr("outcome", "returned")
        study.tell(returned, state=TrialState.FAIL)
        study.ask(distributions)  # still running
    return study


def _outcome(dice: random.Random) -> str:
    names, weights = zip(("ok", 20), ("pruned", 6), ("wrong", 1), ("crash", 1), ("hang", 1), ("refused", 2))
    return dice.choices(names, weights)[0]


def _ratio(parameters: dict[str, int], dice: random.Random, spread: float) -> float:
    best = {"unroll_rows": 2, "channel_block": 64, "vector_layout": 1, "recompute": 2, "tile_columns": 8}
    weights = {"unroll_rows": 0.15, "channel_block": 0.09, "vector_layout": 0.2, "recompute": 0.02}
    steps = {name: abs(math.log2(value / best.get(name, 1))) for name, value in parameters.items()}
    away = sum(weights.get(name, 0.05) * count for name, count in steps.items())
    return 0.82 * math.exp(spread * away) * dice.uniform(0.98, 1.02)


def _finish(study: optuna.Study, trial: optuna.Trial, parameters: dict, outcome: str, ratio: float) -> None:
    notes = {"parameters": parameters, "outcome": outcome, "owner": "host:1:1", "compile_seconds": 3.1, "detail": ""}
    if outcome == "ok":
        notes |= {"low": 0.98 * ratio, "high": 1.02 * ratio, "rounds": 40, "ms": 1.7 * ratio}
    elif outcome != "pruned":
        notes["detail"] = f"{outcome}: Error at generators/fns.cpp: <b>not</b> & so on"
    for name, value in notes.items():
        trial.set_user_attr(name, value)
    if outcome in STATES:
        trial.report(1.05 * ratio, 3)
    study.tell(trial, ratio if outcome == "ok" else None, state=STATES.get(outcome, TrialState.FAIL))


def make_comparison(kernel: dict = KERNEL, shape: str = SHAPE, machine_class: str = "x86-64-avx512", hand: float = 1.9,
                    limit: float | None = 0.74, failed: dict[str, str] | None = None) -> dict:
    """`failed`: outcomes of the candidates that are not ok."""
    ratios = {"default": 31.0, "hand": 1.0, "adams2019": 1.31, "mullapudi2016": 6.4, "tuned": 0.81}
    return {
        "kernel": kernel, "class": machine_class, "shape": shape, "limit_ms": limit,
        "limited_by": "bandwidth" if limit else None,
        "candidates": [_candidate(name, hand, ratio, failed or {}) for name, ratio in ratios.items()],
        "parameters": {"unroll_rows": 2, "channel_block": 64, "vector_layout": 1, "recompute": 2, "tile_columns": 8},
        "trials": 60, "date": "2026-11-21T10:00:00+00:00", "commit": "abc1234", "processor": "AMD EPYC", "threads": 2,
        "command": "upwell tune fns --shape 2,64,32,32 --ratio 4 --trials 60 --seed 1",
    }


def _candidate(name: str, hand: float, ratio: float, failed: dict[str, str]) -> dict:
    if name in failed:
        return {"name": name, "outcome": failed[name], "detail": "Unhandled exception: <Internal> Error & more"}
    ms = hand * ratio
    times = {"ms": ms, "low_ms": 0.98 * ms, "high_ms": 1.03 * ms, "ratio": ratio}
    return {"name": name, "outcome": "ok", "detail": ""} | times
