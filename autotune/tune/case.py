"""A kernel at a shape, and what tuning it gave: how that is told, and how it is kept in the tuned table."""

from dataclasses import asdict, dataclass
from pathlib import Path

import optuna

from autotune.tune import table
from autotune.tune.search import Outcome


@dataclass(frozen=True)
class Circumstances:
    """Who measured, and when."""

    processor: str
    threads: int
    seed: int
    date: str
    commit: str
    command: str
    versions: dict[str, str]


@dataclass(frozen=True)
class Case:
    """extent: channels, pixels, samples (table.Bucket); space: as the generator declares it."""

    kernel: dict[str, object]
    machine: str
    shape: str
    extent: tuple[int, int, int]
    space: dict
    circumstances: Circumstances

    def describe(self, study: optuna.Study) -> None:
        """Writes into the study what its report says of it."""
        channels, pixels, samples = self.extent
        about = {
            "kernel": self.kernel, "class": self.machine, "shape": self.shape, "channels": channels, "pixels": pixels,
            "samples": samples, "space": self.space, "processor": self.circumstances.processor,
            "threads": self.circumstances.threads, "seed": self.circumstances.seed,
        }
        for key, value in about.items():
            if study.user_attrs.get(key) != value:
                study.set_user_attr(key, value)

    def comparison(
        self, outcome: Outcome, candidates: list[dict], limit_ms: float | None = None, limited_by: str | None = None
    ) -> dict[str, object]:
        """An entry of the results file. candidates: rows of compare.compare()."""
        told = asdict(self.circumstances)
        return {
            "kernel": self.kernel, "class": self.machine, "shape": self.shape, "limit_ms": limit_ms,
            "limited_by": limited_by, "candidates": candidates, "parameters": outcome.parameters,
            "outcome": outcome.record, "trials": outcome.trials, "counts": outcome.counts, **told,
        }

    def keep(self, path: Path, outcome: Outcome) -> None:
        """Puts the parameters into the tuned table; what is no better than the hand schedule leaves it."""
        told, record = asdict(self.circumstances), outcome.record
        del told["command"]
        measured = table.Measured(
            shape=self.shape, trials=outcome.trials, rounds=record.get("rounds", 0),
            **{name: round(record[name], 4) for name in ("ratio", "low", "high")}, **told,
        )
        entry = table.Entry(
            **{name: self.kernel[name] for name in ("kernel", "direction", "kernel_size", "ratio", "dtype")},
            bucket=table.bucket_of(*self.extent, self.circumstances.threads), parameters=outcome.parameters,
            measured=measured,
        )
        tuned = table.read(path, self.machine) if path.exists() else table.Table(self.machine)
        if outcome.better:
            tuned.put(entry)
        else:
            tuned.remove(entry)
        if tuned.entries or path.exists():
            tuned.write(path)


@dataclass(frozen=True)
class Finding:
    """What came out for one kernel at one shape."""

    study: optuna.Study
    comparison: dict[str, object]
    outcome: Outcome
