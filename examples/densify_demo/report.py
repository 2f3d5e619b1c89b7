"""What is measured on the held-out photographs, and the files that keep it."""

import json
from pathlib import Path
from statistics import median
from typing import NamedTuple

from tabulate import tabulate

from densify_demo.training import Method

SIDE = 224  # px of the small pictures whose features are made dense for a score


class Result(NamedTuple):
    method: Method
    score: dict[str, float]  # of upwell.densify.consistency

    @property
    def parameters(self) -> int:
        return sum(each.numel() for each in self.method.dense.parameters() if each.requires_grad)

    @property
    def step_ms(self) -> float | None:
        """The median time of a training step."""
        return 1000 * median(self.method.seconds) if self.method.seconds else None


def table(results: list[Result], style: str = "simple") -> str:
    rows = []
    for each in results:
        guided = "yes" if each.method.dense.is_guided else ""
        scores = each.score["cosine"], each.score["mse"]
        rows.append([each.method.name, guided, *scores, each.parameters, each.step_ms])
    headers = ["held-out photographs", "guided", "cosine", "MSE", "parameters", "training step, ms"]
    return tabulate(rows, headers, tablefmt=style, floatfmt=("", "", ".4f", ".4f", ".0f", ".0f"), missingval="")


def write(results: list[Result], settings: dict, folder: Path) -> list[tuple[str, Path]]:
    """scores.json (settings, scores, losses) and scores.md (the table) -> what they are and where."""
    methods = {
        each.method.name: {
            **each.score,
            "parameters": each.parameters,
            "step_ms": each.step_ms,
            "losses": each.method.losses,
        }
        for each in results
    }
    settings = {name: str(value) if isinstance(value, Path) else value for name, value in settings.items()}
    files = [("Numbers", folder / "scores.json"), ("Table", folder / "scores.md")]
    files[0][1].write_text(json.dumps({"settings": settings, "methods": methods}, indent=1) + "\n")
    files[1][1].write_text(table(results, "github") + "\n")
    return files
