"""What is measured on the held-out photographs, and the files that keep it."""

import json
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from tabulate import tabulate
from torch import Tensor

from photographs import psnr
from wrc_demo.degrade import Example
from wrc_demo.model import TITLES
from wrc_demo.training import History

BORDER = 8  # px that are not scored: there the samples of what lies outside are missing


@dataclass
class Result:
    method: str
    restored: list[Tensor]  # of every held-out photograph, 1, 3, H, W
    history: History
    psnr: list[float]  # dB, of every held-out photograph

    @property
    def step_ms(self) -> float | None:
        """The median time of a training step."""
        return 1000 * median(self.history.seconds) if self.history.seconds else None


def score(restored: list[Tensor], examples: list[Example]) -> list[float]:
    """Peak signal-to-noise ratio in dB of values cut to 0 .. 1, without the border."""
    inner = (..., slice(BORDER, -BORDER), slice(BORDER, -BORDER))
    return [psnr(made[inner], example.truth[inner]) for made, example in zip(restored, examples)]


def table(results: list[Result], style: str = "simple") -> str:
    rows = [[TITLES[result.method], sum(result.psnr) / len(result.psnr), result.step_ms] for result in results]
    headers = ["held-out photographs", "PSNR, dB", "training step, ms"]
    return tabulate(rows, headers, tablefmt=style, floatfmt=("", ".2f", ".0f"), missingval="")


def write(results: list[Result], settings: dict, folder: Path) -> list[tuple[str, Path]]:
    """scores.json (settings, scores, losses) and scores.md (the table) -> what they are and where."""
    methods = {
        result.method: {"psnr": result.psnr, "step_ms": result.step_ms, "losses": result.history.losses}
        for result in results
    }
    content = {"settings": settings | {"out": str(folder)}, "methods": methods}
    files = [("Numbers", folder / "scores.json"), ("Table", folder / "scores.md")]
    files[0][1].write_text(json.dumps(content, indent=1) + "\n")
    files[1][1].write_text(table(results, "github") + "\n")
    return files
