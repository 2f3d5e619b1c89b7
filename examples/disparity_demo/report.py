"""What is measured on the held-out part, and the files that keep it."""

import json
import statistics
from dataclasses import dataclass
from pathlib import Path

from tabulate import tabulate
from torch import Tensor

from disparity_demo.model import TITLES
from disparity_demo.scene import EDGE_REACH, Part

BAD = 2.0  # px: a pixel that is off by more counts as bad
NEAR = f"within {EDGE_REACH} px of a depth edge"
SCORES = {
    "error": "mean |error|, px",
    "bad": f"off by > {BAD:g} px, %",
    "edge_error": f"mean |error| {NEAR}, px",
    "edge_bad": f"off by > {BAD:g} px {NEAR}, %",
}


@dataclass
class Result:
    method: str
    upsampled: Tensor  # 1, 1, H, W, the held-out part, px
    losses: list[float]  # of every training step, px
    scores: dict[str, float]  # by the keys of SCORES
    parameters: int  # that are trained, those of the stem too
    seconds: list[float]  # of every training step

    @property
    def step_ms(self) -> float | None:
        """The median over the steps."""
        return 1e3 * statistics.median(self.seconds) if self.seconds else None


def score(upsampled: Tensor, part: Part) -> dict[str, float]:
    """upsampled [1, 1, H, W] -> scores over the pixels whose truth is known."""
    error = (upsampled - part.truth).abs().double()
    everywhere, near_edge = error[part.valid], error[part.valid & part.near_edge]
    return {
        "error": everywhere.mean().item(),
        "bad": 100 * (everywhere > BAD).double().mean().item(),
        "edge_error": near_edge.mean().item(),
        "edge_bad": 100 * (near_edge > BAD).double().mean().item(),
    }


def table(results: list[Result], style: str = "simple") -> str:
    rows = [
        [TITLES[result.method], *(result.scores[key] for key in SCORES), f"{result.parameters:,}", result.step_ms]
        for result in results
    ]
    headers = ["held-out part", *SCORES.values(), "parameters", "training step, ms"]
    formats = ("", ".3f", ".2f", ".3f", ".2f", "", ".0f")
    return tabulate(rows, headers, tablefmt=style, floatfmt=formats, maxheadercolwidths=20, colalign=["left", *6 * ["right"]])


def winners(results: list[Result]) -> str:
    """Which method has the lowest figure of each column, one line each."""
    best = {key: min(results, key=lambda result: result.scores[key]).method for key in SCORES}
    return "\n".join(f"lowest {what}: {TITLES[best[key]]}" for key, what in SCORES.items())


def numbers(result: Result) -> dict:
    costs = {"parameters": result.parameters, "step_ms": result.step_ms}
    return {"scores": result.scores, **costs, "losses": result.losses}


def write(results: list[Result], settings: dict, folder: Path) -> list[tuple[str, Path]]:
    """scores.json (settings, scores, losses) and scores.md (the table) -> what they are and where."""
    methods = {result.method: numbers(result) for result in results}
    content = {"settings": settings | {"out": str(folder)}, "columns": SCORES, "methods": methods}
    files = [("Numbers", folder / "scores.json"), ("Table", folder / "scores.md")]
    files[0][1].write_text(json.dumps(content, indent=1) + "\n")
    files[1][1].write_text(f"{table(results, 'github')}\n\n{winners(results)}\n")
    return files
