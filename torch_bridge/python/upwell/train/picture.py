"""predictions.png: validation images, what they should be and what they are."""

import io
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.colors import hsv_to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from upwell.train.checkpoint import write_whole
from upwell.train.loop import Sample

LONGEST = 512  # pixels of a side; larger images are drawn with every n-th pixel
IGNORED = (0.0, 0.0, 0.0)


def colours(classes: int) -> np.ndarray:
    """[classes, 3]: a qualitative palette, or hues as far apart as so many can be."""
    if classes <= 20:
        name = "tab10" if classes <= 10 else "tab20"
        return np.array(matplotlib.colormaps[name].colors[:classes])
    steps = np.arange(classes)
    return hsv_to_rgb(np.stack([steps * 0.618 % 1, 0.5 + 0.5 * (steps % 2), 1 - 0.25 * (steps % 3)], 1))


def write_picture(path: Path, samples: list[Sample], classes: int, ignore: int) -> None:
    palette = colours(classes)
    figure = Figure(figsize=(9, 3 * len(samples) + 0.5), layout="constrained")
    for row, sample in zip(figure.subplots(len(samples), 3, squeeze=False), samples):
        step = -(-max(sample.truth.shape) // LONGEST)
        image, truth, predicted = (full[::step, ::step] for full in sample)
        for axes, shown in zip(
            row, (image, paint(truth, palette, ignore), paint(predicted, palette, ignore))
        ):
            axes.imshow(shown, interpolation="nearest")
            axes.set_axis_off()
    for axes, title in zip(figure.axes, ("image", "truth", "prediction")):
        axes.set_title(title)
    figure.legend(handles=legend(samples, palette, ignore), loc="outside lower center", ncols=8)
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=110)
    write_whole(path, buffer.getvalue())


def paint(labels: np.ndarray, palette: np.ndarray, ignore: int) -> np.ndarray:
    """labels [H, W] -> [H, W, 3]."""
    return np.where((labels == ignore)[..., None], IGNORED, palette[np.clip(labels, 0, len(palette) - 1)])


def legend(samples: list[Sample], palette: np.ndarray, ignore: int) -> list[Patch]:
    """The classes that are to be seen."""
    seen = set().union(*(np.unique(labels).tolist() for _, *maps in samples for labels in maps))
    patches = [Patch(color=palette[c], label=f"class {c}") for c in sorted(seen - {ignore})]
    return patches + ([Patch(color=IGNORED, label="ignored")] if ignore in seen else [])
