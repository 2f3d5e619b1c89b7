"""Takes in the timings of a pack: studies, comparisons and the tuned table, as if they had been measured here."""

import json
from importlib.metadata import version
from pathlib import Path

import optuna
from optuna.distributions import IntDistribution
from optuna.trial import TrialState, create_trial

from autotune.tune.case import Case, Circumstances, Finding
from autotune.tune.compare import DEFAULT, TUNED, autoschedulers_for
from autotune.tune.kernels import TuneError
from autotune.tune.measuring import HAND
from autotune.tune.search import Outcome
from autotune.tune.session import commit, table_of
from autotune.tune.space import Space
from autotune.tune.timing import LAST


def read_timings(file: Path, build: Path, table_path: Path | None) -> list[Finding]:
    """One finding for each kernel of the pack."""
    try:
        timings = json.loads(file.read_text())
        manifest = timings["manifest"]
        kernels = [(manifest["kernels"][int(k)], records) for k, records in sorted(timings["kernels"].items())]
    except (OSError, json.JSONDecodeError, KeyError, TypeError, IndexError) as error:
        raise TuneError(f"{file}: these are not the timings of a pack ({type(error).__name__}: {error})") from None
    return [_take_in(kernel, records, timings, build, table_path) for kernel, records in kernels]


def _take_in(kernel: dict, records: dict[str, dict], timings: dict, build: Path, table_path: Path | None) -> Finding:
    manifest, space = timings["manifest"], Space(kernel["space"])
    circumstances = Circumstances(
        _device(timings), 1, manifest["seed"], timings["date"], commit(build), manifest["command"],
        {"halide": version("halide")},
    )
    extent = (kernel["channels"], kernel["pixels"], kernel["samples"])
    case = Case(kernel["kernel"], kernel["class"], kernel["shape"], extent, kernel["space"], circumstances)
    study = optuna.create_study(direction="minimize", study_name=f"{kernel['symbol']} {kernel['shape']}")
    case.describe(study)
    points = [c for c in kernel["candidates"] if c["parameters"] is not None]
    for point in points:
        study.add_trial(_trial(space, point["parameters"], records[point["name"]]))
    outcome = _choose(space, points, records)
    case.keep(table_path or table_of(build, case.machine), outcome)
    return Finding(study, case.comparison(outcome, _rows(kernel, records, outcome)), outcome)


def _device(timings: dict) -> str:
    """PoCL runs the GPU schedules on the processor: what it measures says nothing about a GPU."""
    dry = timings["manifest"]["backend"] == "opencl"
    return "dry run on PoCL" if dry else timings["device"] or "unknown GPU"


def _trial(space: Space, parameters: dict[str, int], record: dict) -> optuna.trial.FrozenTrial:
    ok = record["outcome"] == "ok"
    distributions = {name: IntDistribution(0, len(values) - 1) for name, values in space.values.items()}
    attributes = {name: value for name, value in record.items() if value is not None} | {"parameters": parameters}
    return create_trial(
        state=TrialState.COMPLETE if ok else TrialState.FAIL, value=record["ratio"] if ok else None,
        params=space.indices(parameters), distributions=distributions, user_attrs=attributes,
    )


def _choose(space: Space, points: list[dict], records: dict[str, dict]) -> Outcome:
    """The fastest of those that were measured to the end."""
    counts: dict[str, int] = {}
    for point in points:
        outcome = records[point["name"]]["outcome"]
        counts[outcome] = counts.get(outcome, 0) + 1
    last = [p for p in points if p["name"] != HAND and records[p["name"]].get("rounds") == LAST
            and records[p["name"]]["outcome"] == "ok"]
    if not last:
        return Outcome(dict(space.hand), records[HAND] | {"ratio": 1.0, "low": 1.0, "high": 1.0}, len(points), counts)
    best = min(last, key=lambda p: (records[p["name"]]["ratio"], p["name"]))
    return Outcome(dict(best["parameters"]), records[best["name"]], len(points), counts)


def _rows(kernel: dict, records: dict[str, dict], outcome: Outcome) -> list[dict]:
    """As compare.compare() gives them."""
    hand = records[HAND] | {"ratio": 1.0}
    rows = [{"name": name} | _part(records[name]) for name in (DEFAULT, *autoschedulers_for(kernel["class"]))]
    tuned = outcome.record if "ms" in outcome.record else hand
    return [*rows, {"name": HAND} | _part(hand), {"name": TUNED} | _part(tuned)]


def _part(record: dict) -> dict:
    return {key: record[key] for key in ("outcome", "detail", "ms", "low_ms", "high_ms", "ratio") if key in record}
