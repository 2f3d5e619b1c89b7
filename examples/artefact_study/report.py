"""What is measured on the held-out photographs, and the files that keep it."""

import json
from dataclasses import dataclass
from pathlib import Path

from tabulate import tabulate
from torch import Tensor

from artefact_study.model import STRIDE, TITLES
from artefact_study.spectrum import grid_peaks


@dataclass
class Result:
    method: str
    restored: list[Tensor]  # of every held-out photograph, 1, 3, H, W
    parameters: int
    psnr: float  # dB, mean over the photographs
    excess: Tensor  # SIDE, SIDE, dB: the spectrum over that of the truth, frequency 0 in the middle

    @property
    def peaks(self) -> tuple[float, float]:
        return grid_peaks(self.excess, STRIDE)


def table(results: list[Result], style: str = "simple") -> str:
    rows = [[TITLES[result.method], result.parameters, result.psnr, *result.peaks] for result in results]
    peaks = "peaks at grid frequencies, dB over"
    headers = ["upsampler", "parameters", "PSNR, dB", f"{peaks} the truth's spectrum", f"{peaks} their surroundings"]
    return tabulate(rows, headers, tablefmt=style, floatfmt=("", "", ".2f", ".2f", ".2f"), maxheadercolwidths=22)


def write(results: list[Result], settings: dict, folder: Path) -> list[tuple[str, Path]]:
    """scores.json and scores.md (the table) -> what they are and where."""
    methods = {
        result.method: {"parameters": result.parameters, "psnr": result.psnr, "grid_peaks": result.peaks}
        for result in results
    }
    files = [("Numbers", folder / "scores.json"), ("Table", folder / "scores.md")]
    files[0][1].write_text(json.dumps({"settings": settings | {"out": str(folder)}, "methods": methods}, indent=1) + "\n")
    files[1][1].write_text(table(results, "github") + "\n")
    return files
