"""What is measured on the held-out photographs, and the files that keep it."""

import json
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from tabulate import tabulate
from torch import Tensor

from artefact_study.model import STRIDE, TITLES
from artefact_study.spectrum import grid_peaks


@dataclass
class Result:
    method: str
    seed: int
    steps: int  # of the attack on the input, 0: none
    restored: list[Tensor]  # of every held-out photograph, 1, 3, H, W
    parameters: int
    psnr: float  # dB, mean over the photographs
    excess: Tensor  # SIDE, SIDE, dB: the spectrum over that of the truth, frequency 0 in the middle

    @property
    def peaks(self) -> tuple[float, float]:
        return grid_peaks(self.excess, STRIDE)


def table(results: list[Result], style: str = "simple") -> str:
    """A row for each method: means over the seeds, ± how far the farthest one is from them."""
    counts = list(dict.fromkeys(result.steps for result in results))
    rows = []
    for method in dict.fromkeys(result.method for result in results):
        mine = [result for result in results if result.method == method]
        after = [[result for result in mine if result.steps == count] for count in counts]
        row = [TITLES[method], str(mine[0].parameters)]
        row += [spread([result.psnr for result in group]) for group in after]
        row += [spread([result.peaks[i] for result in group], 1) for group in (after[0], after[-1]) for i in (0, 1)]
        rows.append(row)
    over = ("the truth's spectrum", "their surroundings")
    headers = ["upsampler", "parameters", *(f"PSNR, dB{said(count)}" for count in counts)]
    headers += [f"peaks, dB over {what}{said(count)}" for count in (counts[0], counts[-1]) for what in over]
    options = {"disable_numparse": True, "colalign": ["left", *["right"] * (len(headers) - 1)]}
    return tabulate(rows, headers, tablefmt=style, maxheadercolwidths=14, **options)


def said(steps: int) -> str:
    """Of an attack by projected gradient descent, in as few letters as it has elsewhere."""
    return f", PGD-{steps}" if steps else ""


def spread(values: list[float], digits: int = 2) -> str:
    mean = fmean(values)
    farthest = max(abs(value - mean) for value in values)
    return f"{mean:.{digits}f}" + (f" ± {farthest:.{digits}f}" if len(values) > 1 else "")


def write(results: list[Result], settings: dict, folder: Path) -> list[tuple[str, Path]]:
    """scores.json and scores.md (the table) -> what they are and where."""
    names = ("method", "seed", "steps", "parameters", "psnr")
    scores = [{name: getattr(result, name) for name in names} | {"grid_peaks": result.peaks} for result in results]
    files = [("Numbers", folder / "scores.json"), ("Table", folder / "scores.md")]
    files[0][1].write_text(json.dumps({"settings": settings | {"out": str(folder)}, "results": scores}, indent=1) + "\n")
    files[1][1].write_text(table(results, "github") + "\n")
    return files
