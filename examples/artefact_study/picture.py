"""Restored photographs and their spectra, one column for each upsampler, without an attack and under it."""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")  # before pyplot: no display is needed

import matplotlib.pyplot as plt  # noqa: E402
import numpy as np  # noqa: E402
from torch import Tensor  # noqa: E402

from artefact_study.model import STRIDE, TITLES  # noqa: E402
from artefact_study.report import Result, said  # noqa: E402
from artefact_study.spectrum import SIDE  # noqa: E402

WINDOW = (slice(80, 144), slice(170, 234))  # rows and columns that are shown close up
LARGEST = 20.0  # dB of the spectra's colours


def show(results: list[Result], truth: Tensor, input: Tensor, path: Path) -> tuple[str, Path]:
    """Of the results' first seed. Two rows for no attack, two for the longest one: a window of the photograph restored,
    and each spectrum over the truth's. Bottom: its profile along the horizontal frequency."""
    counts = list(dict.fromkeys((results[0].steps, results[-1].steps)))
    groups = [[each for each in results if each.seed == results[0].seed and each.steps == count] for count in counts]
    columns = len(groups[0]) + 1
    figure = plt.figure(figsize=(2.9 * columns, 2.8 + 5.3 * len(groups)), layout="constrained")
    grid = figure.add_gridspec(2 * len(groups) + 1, columns, height_ratios=[1, 1] * len(groups) + [0.9])
    _picture(figure.add_subplot(grid[0, 0]), input, "With noise")
    _picture(figure.add_subplot(grid[1, 0]), truth, "Truth")
    ends = np.linspace(0, columns, len(groups) + 1).round().astype(int)
    shown = None
    for i, group in enumerate(groups):
        for column, result in enumerate(group, 1):
            title = f"{TITLES[result.method]}\n{result.psnr:.2f} dB{said(result.steps)}"
            _picture(figure.add_subplot(grid[2 * i, column]), result.restored[0], title)
            shown = _spectrum(figure.add_subplot(grid[2 * i + 1, column]), result)
        _profiles(figure.add_subplot(grid[-1, ends[i] : ends[i + 1]]), group)
    figure.colorbar(shown, ax=figure.axes, label="spectrum over the truth's, dB", shrink=0.5, extend="both")
    figure.savefig(path, dpi=100)
    plt.close(figure)
    return "Picture", path


def _picture(axis: plt.Axes, picture: Tensor, title: str) -> None:
    axis.imshow(picture[..., *WINDOW][0].clamp(0, 1).permute(1, 2, 0).numpy(), interpolation="nearest")
    axis.set_title(title, fontsize=10)
    axis.set_axis_off()


def _spectrum(axis: plt.Axes, result: Result) -> plt.cm.ScalarMappable:
    colours = {"cmap": "coolwarm", "vmin": -LARGEST, "vmax": LARGEST}
    axis.set_title(f"grid peaks {result.peaks[0]:.1f} dB", fontsize=10)
    axis.set(xticks=(-0.5, -0.25, 0, 0.25), yticks=(-0.5, -0.25, 0, 0.25))
    return axis.imshow(result.excess.numpy(), extent=(-0.5, 0.5, -0.5, 0.5), origin="lower", **colours)


def _profiles(axis: plt.Axes, results: list[Result]) -> None:
    frequency = np.arange(SIDE // 2, SIDE) / SIDE - 0.5
    for result in results:
        folded = result.excess.mean(0)[SIDE // 2 :]
        axis.plot(frequency, folded.numpy(), label=TITLES[result.method])
    for multiple in range(1, STRIDE // 2 + 1):
        axis.axvline(multiple / STRIDE, color="gray", linewidth=0.8, linestyle=":")
    axis.set(xlabel="horizontal frequency, cycles per px (dotted: of the grid)", ylabel="mean over the truth's, dB")
    axis.set_title(f"restored{said(results[0].steps)}", fontsize=10)
    axis.grid(alpha=0.3)
    axis.legend()
