"""The tables, and what their numbers say in words."""

from collections.abc import Callable, Iterable

import numpy as np
from ablation_study.runs import Run
from disparity_demo import model, report
from tabulate import tabulate

TITLES = model.TITLES | {
    "semantic": "semantic scores only",
    "detail": "detail scores only",
    "unfiltered": "without guided filter",
    "inner_product": "inner product for PCDC",
    "convolution": "convolution for PCDC",
    "low_res": "low-res neighbours for FNS",
}
FULL, COARSE = "resfu", "low_res"


class Study:
    """The outcomes of runs, by method, ratio and seed."""

    def __init__(self, outcomes: dict[Run, dict]):
        self.outcomes = outcomes
        self.methods = list(dict.fromkeys(run.method for run in outcomes))
        self.ratios = list(dict.fromkeys(run.ratio for run in outcomes))
        others = [each for each in self.methods if each not in model.NAMES]
        self.variants = others if FULL in self.methods else []

    def values(self, method: str, what: str, ratio: int | None = None) -> np.ndarray:
        """An entry of the outcomes, [seeds], or [ratios * seeds] without a ratio."""
        ratios = self.ratios if ratio is None else [ratio]
        mine = [run for run in self.outcomes if run.method == method and run.ratio in ratios]
        return np.array([self.outcomes[run][what] for run in mine])

    def change(self, method: str, what: str, ratio: int) -> np.ndarray:
        """What the method's entry is more than ReSFU's at the same seed, [seeds]."""
        return self.values(method, what, ratio) - self.values(FULL, what, ratio)


def write_up(study: Study, style: str) -> str:
    """Every table and sentence; style is tabulate's."""
    seeds = len({run.seed for run in study.outcomes})
    steps = max(run.steps for run in study.outcomes)
    parts = [
        f"Mean |error|, px, on the held-out part, after {steps} steps; ± how far the farthest of "
        f"{seeds} seeds is from their mean. Near edges: {report.NEAR}.",
        scores_table(study, style),
    ]
    if study.variants:
        parts += [
            "Change of the mean error against ReSFU of the same seed, px (lowest to highest seed).",
            changes_table(study, style),
            "\n".join(f"- {line}" for line in conclusions(study)),
        ]
    parts += [
        "Mosaic: how much larger the mean step between neighbouring pixels is where a low-res cell ends than "
        f"inside cells, px, away from jumps of the truth. Parameters: at ratio {study.ratios[0]}. "
        "Time: of a training step on one core, over the ratios.",
        costs_table(study, style),
    ]
    return "\n\n".join(parts) + "\n"


def scores_table(study: Study, style: str) -> str:
    columns = [(ratio, what) for ratio in study.ratios for what in ("error", "edge_error")]
    best = {c: min(study.values(method, c[1], c[0]).mean() for method in study.methods) for c in columns}

    def cell(method: str, ratio: int, what: str) -> str:
        values = study.values(method, what, ratio)
        mean = values.mean()
        text = f"{mean:.3f}" + (f" ± {abs(values - mean).max():.3f}" if len(values) > 1 else "")
        return f"**{text}**" if style == "github" and mean == best[ratio, what] else text

    head = [f"ratio {ratio}" + (", near edges" if what == "edge_error" else "") for ratio, what in columns]
    return _table(study.methods, head, lambda method: [cell(method, *column) for column in columns], style)


def changes_table(study: Study, style: str) -> str:
    def cell(method: str, ratio: int) -> str:
        change = study.change(method, "error", ratio)
        return f"{change.mean():+.3f} ({change.min():+.3f} to {change.max():+.3f})"

    head = [f"ratio {ratio}" for ratio in study.ratios]
    return _table(study.variants, head, lambda method: [cell(method, ratio) for ratio in study.ratios], style)


def costs_table(study: Study, style: str) -> str:
    def row(method: str) -> list[str]:
        mosaic = [f"{study.values(method, 'seams', ratio).mean():+.3f}" for ratio in study.ratios]
        parameters = study.values(method, "parameters", study.ratios[0])[0]
        return [*mosaic, f"{parameters:.0f}", f"{study.values(method, 'ms_per_step').mean():.0f}"]

    head = [*(f"mosaic, ratio {ratio}" for ratio in study.ratios), "parameters", "ms per step"]
    return _table(study.methods, head, row, style)


def conclusions(study: Study) -> list[str]:
    """One line per variant on the error, one on the mosaic; a finding is what every seed agrees on."""
    lines = [f"{TITLES[method]}: {_verdict(study, method)}" for method in study.variants]
    if COARSE in study.variants:
        seams = [
            " and ".join(f"{study.values(method, 'seams', ratio).mean():+.3f}" for method in (COARSE, FULL))
            + f" px at ratio {ratio}"
            for ratio in study.ratios
        ]
        lines.append(f"mosaic without and with FNS: {', '.join(seams)}")
    return lines


def _verdict(study: Study, method: str) -> str:
    found = {"worse on every seed": [], "better on every seed": [], "undecided, seeds disagree": []}
    for ratio in study.ratios:
        change = study.change(method, "error", ratio)
        full = study.values(FULL, "error", ratio).mean()
        sign = (change > 0).all(), (change < 0).all(), True
        found[list(found)[sign.index(True)]].append(f"{100 * change.mean() / full:+.1f} % at ratio {ratio}")
    return "; ".join(f"{verdict}: {', '.join(where)}" for verdict, where in found.items() if where)


def _table(methods: Iterable[str], head: list[str], row: Callable[[str], list[str]], style: str) -> str:
    rows = [[TITLES[method], *row(method)] for method in methods]
    head, align = ["held-out part", *head], ("left", *["right"] * len(head))
    return tabulate(rows, head, style, disable_numparse=True, colalign=align, maxheadercolwidths=14)
