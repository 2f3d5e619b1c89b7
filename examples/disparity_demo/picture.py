"""The pictures that the demo ends with."""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")  # before pyplot: no display is needed

import matplotlib.pyplot as plt  # noqa: E402
import numpy as np  # noqa: E402
from matplotlib.axes import Axes  # noqa: E402
from matplotlib.cm import ScalarMappable  # noqa: E402
from matplotlib.colors import Colormap, Normalize  # noqa: E402
from matplotlib.patches import Rectangle  # noqa: E402
from torch import Tensor  # noqa: E402

from disparity_demo.model import TITLES  # noqa: E402
from disparity_demo.report import Result  # noqa: E402
from disparity_demo.scene import Part, Parts  # noqa: E402

DISPARITY = plt.get_cmap("viridis").with_extremes(bad="white")
ERROR = plt.get_cmap("magma").with_extremes(bad="steelblue")
LARGEST_ERROR = 10.0  # px, of the error maps' colours
SMOOTHING = 20  # steps that a loss curve averages over
PER_ROW = 7  # methods side by side


def show_results(results: list[Result], parts: Parts, path: Path) -> tuple[str, Path]:
    """Top: picture, low-res input and truth. Below, per method: what it makes of them, and how far off it is."""
    part, columns = parts.test, min(max(len(results), 3), PER_ROW)
    layout = _layout(results, columns)
    height, width = part.truth.shape[2:]
    known = part.truth[part.valid]
    scale, error_scale = Normalize(known.min().item(), known.max().item()), Normalize(0, LARGEST_ERROR)
    panel = 3.1  # inches wide
    size = (panel * columns + 1.2, len(layout) * (panel * height / width + 0.1))
    figure = plt.figure(figsize=size, layout="constrained")
    axes = figure.subplot_mosaic(layout, empty_sentinel=".")

    _show_whole(axes["whole"], parts)
    _show(axes["low"], part.low, f"Low-res disparity, {part.low.shape[3]} x {part.low.shape[2]}", DISPARITY, scale)
    _show(axes["truth"], _known(part.truth, part), "Truth (white: unknown)", DISPARITY, scale)
    for result in results:
        error = _known((result.upsampled - part.truth).abs(), part)
        title = f"off by {result.scores['error']:.2f} px, near edges {result.scores['edge_error']:.2f} px"
        _show(axes[result.method], result.upsampled, TITLES[result.method], DISPARITY, scale)
        _show(axes[f"error of {result.method}"], error, title, ERROR, error_scale)

    # The colours' bars stand beside the first row of methods and of errors, whose colours hold for all.
    first = [result.method for result in results[:columns]]
    others = [axes[name] for name in ("whole", "low", "truth", *first)]
    errors = [axes[f"error of {method}"] for method in first]
    figure.colorbar(ScalarMappable(scale, DISPARITY), ax=others, label="disparity, px", shrink=0.6)
    label = "|error|, px (blue: truth unknown)"
    figure.colorbar(ScalarMappable(error_scale, ERROR), ax=errors, label=label, extend="max", shrink=0.9)
    figure.savefig(path, dpi=100)
    plt.close(figure)
    return "Picture", path


def show_losses(results: list[Result], path: Path) -> tuple[str, Path] | None:
    """Loss curves of the methods that were trained, if any."""
    trained = [result for result in results if result.losses]
    if not trained:
        return None
    figure, axis = plt.subplots(figsize=(7, 4), layout="constrained")
    for result in trained:
        (raw,) = axis.plot(np.arange(1, len(result.losses) + 1), result.losses, alpha=0.25, linewidth=0.8)
        smooth = _running_mean(np.array(result.losses))
        axis.plot(np.arange(1, len(smooth) + 1), smooth, color=raw.get_color(), label=TITLES[result.method])
    axis.set(xlabel="step", ylabel="training loss, px", title=f"Loss, and its mean over {SMOOTHING} steps")
    axis.set_ylim(0, None)
    axis.grid(alpha=0.3)
    axis.legend()
    figure.savefig(path, dpi=120)
    plt.close(figure)
    return "Loss curves", path


def _layout(results: list[Result], columns: int) -> list[list[str]]:
    """Names of the panels, row by row: below the top one a row of methods and one of their errors, as often as it takes."""
    rows = [["whole"] * (columns - 2) + ["low", "truth"]]
    for first in range(0, len(results), columns):
        methods = [result.method for result in results[first : first + columns]]
        gap = ["."] * (columns - len(methods))
        rows += [methods + gap, [f"error of {method}" for method in methods] + gap]
    return rows


def _show_whole(axis: Axes, parts: Parts) -> None:
    cut, (height, width) = parts.train.truth.shape[3], parts.whole.shape[:2]
    axis.imshow(parts.whole)
    axis.add_patch(Rectangle((cut, 0), width - cut - 1, height - 1, fill=False, edgecolor="cyan", linewidth=2.5))
    axis.set_title("Picture: trained on crops of the left, scored in the frame")
    axis.set_axis_off()


def _show(axis: Axes, map: Tensor | np.ndarray, title: str, colours: Colormap, scale: Normalize) -> None:
    axis.imshow(np.squeeze(map), colours, scale, interpolation="nearest")
    axis.set_title(title, fontsize=10)
    axis.set_axis_off()


def _known(map: Tensor, part: Part) -> np.ma.MaskedArray:
    """The map, masked where the truth is unknown."""
    return np.ma.masked_array(map[0, 0].numpy(), ~part.valid[0, 0].numpy())


def _running_mean(values: np.ndarray) -> np.ndarray:
    """The mean over the last SMOOTHING values, or as many as there are."""
    sums = np.cumsum(values)
    sums[SMOOTHING:] -= sums[:-SMOOTHING].copy()
    return sums / np.minimum(np.arange(1, len(values) + 1), SMOOTHING)
