"""The pictures: what FNS removes, where it matters most, and the error of every run."""

from pathlib import Path

import numpy as np
from ablation_study.results import Results
from ablation_study.runs import Run, load
from ablation_study.tables import COARSE, FULL, TITLES, Study
from disparity_demo.picture import DISPARITY, ERROR, plt
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from scipy import ndimage

WINDOW = 128  # px per side
LARGEST_ERROR = 10.0  # px, of the colours
PANELS = ("picture", "truth (white: unknown)", "without FNS", "with FNS", "error without", "error with")


def show_mosaic(runs: list[Run], results: Results, path: Path) -> Path:
    """A row for each ratio: where, in the held-out part, ReSFU without and with FNS differ most."""
    pairs = [pair(runs, ratio) for ratio in dict.fromkeys(run.ratio for run in runs)]
    size = (15.5, 2.6 * len(pairs))
    figure, axes = plt.subplots(len(pairs), len(PANELS), figsize=size, squeeze=False, layout="constrained")
    for row, (coarse, fine) in zip(axes, pairs):
        scale = show_window(row, coarse.ratio, results.map(coarse), results.map(fine))
        figure.colorbar(ScalarMappable(scale, DISPARITY), ax=row[:4], label="disparity, px", pad=0.01)
        error_scale = ScalarMappable(Normalize(0, LARGEST_ERROR), ERROR)
        figure.colorbar(error_scale, ax=row[4:], label="|error|, px", extend="max", pad=0.01)
    for axis, title in zip(axes[0], PANELS):
        axis.set_title(title, fontsize=10)
    figure.savefig(path, dpi=110)
    plt.close(figure)
    return path


def pair(runs: list[Run], ratio: int) -> tuple[Run, Run]:
    """The first seed's runs without and with FNS."""
    first = {run.method: run for run in reversed(runs) if run.ratio == ratio}
    return first[COARSE], first[FULL]


def show_window(row: list[Axes], ratio: int, coarse: np.ndarray, fine: np.ndarray) -> Normalize:
    """Fills a row; the scale of its disparities. coarse, fine [H, W]."""
    part = load(ratio).test
    window = where_largest(abs(coarse - fine))
    image = part.image[0].permute(1, 2, 0).numpy()
    known = np.ma.masked_array(part.truth[0, 0].numpy(), ~part.valid[0, 0].numpy())[window]
    scale, error_scale = Normalize(known.min(), known.max()), Normalize(0, LARGEST_ERROR)
    row[0].imshow(image[window])
    row[0].set_ylabel(f"ratio {ratio}")
    for axis, map in zip(row[1:4], (known, coarse[window], fine[window])):
        axis.imshow(map, DISPARITY, scale, interpolation="nearest")
    for axis, map in zip(row[4:], (coarse, fine)):
        axis.imshow(abs(map[window] - known), ERROR, error_scale, interpolation="nearest")
    for axis in row:
        axis.set(xticks=[], yticks=[])
    return scale


def where_largest(map: np.ndarray) -> tuple[slice, slice]:
    """The WINDOW x WINDOW pixels (fewer if the map is smaller) whose mean is largest. map [H, W]."""
    sides = [min(WINDOW, length) for length in map.shape]
    inside = tuple(slice(side // 2, n - side + side // 2 + 1) for side, n in zip(sides, map.shape))
    means = ndimage.uniform_filter(map, sides)[inside]
    start = np.unravel_index(means.argmax(), means.shape)
    return tuple(slice(first, first + side) for first, side in zip(start, sides))


def show_errors(study: Study, path: Path) -> Path:
    """A panel for each ratio: a dot per seed, a line at the mean, ReSFU's continued through all rows."""
    size = (4.2 * len(study.ratios) + 1.8, 0.36 * len(study.methods) + 1.2)
    figure = plt.figure(figsize=size, layout="constrained")
    axes = figure.subplots(1, len(study.ratios), sharey=True, squeeze=False)
    for axis, ratio in zip(axes[0], study.ratios):
        for y, method in enumerate(study.methods):
            values = study.values(method, "error", ratio)
            (dots,) = axis.plot(values, np.full(len(values), y), "o", markersize=4, alpha=0.7)
            axis.vlines(values.mean(), y - 0.3, y + 0.3, colors=dots.get_color(), linewidth=2.5)
            if method == FULL:
                axis.axvline(values.mean(), color=dots.get_color(), linewidth=0.8, linestyle=":")
        axis.set(title=f"ratio {ratio}", xlabel="mean |error|, px")
        axis.grid(axis="x", alpha=0.3)
    axes[0, 0].set_yticks(range(len(study.methods)), [TITLES[method] for method in study.methods])
    axes[0, 0].invert_yaxis()
    figure.savefig(path, dpi=110)
    plt.close(figure)
    return path
