"""The pictures that the demo ends with."""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")  # before pyplot: no display is needed

import matplotlib.pyplot as plt  # noqa: E402
import numpy as np  # noqa: E402
from matplotlib.patches import Rectangle  # noqa: E402
from torch import Tensor  # noqa: E402

from wrc_demo.degrade import Example  # noqa: E402
from wrc_demo.model import TITLES  # noqa: E402
from wrc_demo.report import Result  # noqa: E402

WINDOW = (slice(60, 180), slice(150, 290))  # rows and columns that are shown close up: the face
COLUMNS = 5
SMOOTHING = 20  # steps that a loss curve averages over


def show_results(results: list[Result], example: Example, path: Path) -> tuple[str, Path]:
    """The photograph with a frame, what is left of the frame's inside, the truth, and what each method makes of it."""
    panels = 3 + len(results)
    rows = -(-panels // COLUMNS)
    figure, axes = plt.subplots(rows, COLUMNS, figsize=(3 * COLUMNS, 2.75 * rows), layout="constrained")
    axes = iter(axes.flat)
    whole = next(axes)
    _show(whole, example.truth, "Held-out photograph")
    (top, bottom), (left, right) = ((side.start, side.stop) for side in WINDOW)
    whole.add_patch(Rectangle((left, top), right - left, bottom - top, fill=False, edgecolor="cyan", linewidth=2))
    samples = tuple(slice(side.start // example.scale, side.stop // example.scale) for side in WINDOW)
    _show(next(axes), example.low[..., *samples], "Samples")
    _show(next(axes), example.truth[..., *WINDOW], "Truth")
    for result in results:
        title = f"{TITLES[result.method]}: {result.psnr[0]:.2f} dB"
        _show(next(axes), result.restored[0][..., *WINDOW], title)
    for axis in axes:
        axis.set_axis_off()
    figure.savefig(path, dpi=100)
    plt.close(figure)
    return "Picture", path


def show_losses(results: list[Result], path: Path) -> tuple[str, Path] | None:
    """Training PSNR of the methods that were trained, if any."""
    trained = [result for result in results if len(result.history.losses) > SMOOTHING]
    if not trained:
        return None
    figure, axis = plt.subplots(figsize=(7, 4), layout="constrained")
    for result in trained:
        means = np.convolve(result.history.losses, np.full(SMOOTHING, 1 / SMOOTHING), "valid")
        axis.plot(np.arange(SMOOTHING, SMOOTHING + len(means)), -10 * np.log10(means), label=TITLES[result.method])
    axis.set(xlabel="step", ylabel="PSNR of training crops, dB", title=f"Mean over {SMOOTHING} steps")
    axis.grid(alpha=0.3)
    axis.legend()
    figure.savefig(path, dpi=120)
    plt.close(figure)
    return "Loss curves", path


def _show(axis: plt.Axes, map: Tensor, title: str) -> None:
    axis.imshow(map[0].clamp(0, 1).permute(1, 2, 0).numpy(), interpolation="nearest")
    axis.set_title(title, fontsize=10)
    axis.set_axis_off()
