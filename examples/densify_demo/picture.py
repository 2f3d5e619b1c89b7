"""The picture that the demo ends with: features as colours, by their first three principal components."""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")  # before pyplot: no display is needed

import matplotlib.pyplot as plt  # noqa: E402
import torch  # noqa: E402
import torch.nn.functional as F  # noqa: E402
from torch import Tensor, nn  # noqa: E402

from densify_demo.report import MOST, Result  # noqa: E402
from upwell.densify.report import held_out  # noqa: E402

COLUMNS = 4
RANGE = (0.02, 0.98)  # quantiles of a component that become black and white


def show(results: list[Result], frozen: nn.Module, image: Tensor, path: Path) -> tuple[str, Path]:
    """The photograph [3, H, W], its features at both resolutions, and what each method makes of the low ones."""
    ratio = results[0].method.dense.ratio
    large = held_out(image, frozen.multiple, ratio, MOST)
    small = F.avg_pool2d(large, ratio)
    with torch.no_grad():
        low, high = frozen(small), frozen(large)
        maps = {f"{each.method.name}: {each.score.cosine:.4f}": each.method.dense(small, low) for each in results}
    maps = {"low-res features": low, "features of the large image": high, **maps}
    axes_of = components(high)
    rows = -(-(len(maps) + 1) // COLUMNS)
    figure, axes = plt.subplots(rows, COLUMNS, figsize=(3 * COLUMNS, 3.2 * rows), layout="constrained", squeeze=False)
    places = iter(axes.flat)
    next(places).imshow(large[0].permute(1, 2, 0).numpy())
    axes.flat[0].set_title("Held-out photograph", fontsize=10)
    for place, (title, features) in zip(places, maps.items()):
        place.imshow(colours(features, axes_of), interpolation="nearest")
        place.set_title(title, fontsize=10)
    for place in axes.flat:
        place.set_axis_off()
    figure.savefig(path, dpi=100)
    plt.close(figure)
    return "Picture", path


def components(features: Tensor) -> tuple[Tensor, ...]:
    """features [1, C, H, W] -> their mean [C], three directions [C, 3], and what is black and white along each [3]."""
    pixels = features[0].flatten(1).T.double()
    mean = pixels.mean(0)
    directions = torch.linalg.svd(pixels - mean, full_matrices=False).Vh[:3].T
    along = (pixels - mean) @ directions
    return mean, directions, *along.quantile(torch.tensor(RANGE, dtype=along.dtype), 0)


def colours(features: Tensor, axes_of: tuple[Tensor, ...]):
    """features [1, C, H, W] -> [H, W, 3] in 0 to 1."""
    mean, directions, black, white = axes_of
    along = (features[0].permute(1, 2, 0).double() - mean) @ directions
    return ((along - black) / (white - black)).clamp(0, 1).numpy()
