"""Pictures of dense features: principal components, similarity to a pixel, and the footprint of a pixel."""

import io
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor, nn

from upwell.densify.components import colours, find_projection
from upwell.densify.footprint import footprint
from upwell.densify.similarity import similarity
from upwell.train.checkpoint import write_whole

PER_ROW = 5
PANEL = 2.6  # inches wide
MARK = {"marker": "+", "color": "white", "markersize": 12, "markeredgewidth": 2.5}
INSIDE_MARK = {"marker": "+", "color": "red", "markersize": 10, "markeredgewidth": 1.2}
NUMBER = {"ha": "center", "va": "center", "fontsize": 8, "color": "white"}
NUMBER["bbox"] = {"facecolor": "black", "alpha": 0.5, "pad": 1, "linewidth": 0}
REACH = 3  # cells to each side of a pixel that its footprint is drawn with
UNSEEN = 0.01  # a weight, of the largest: cells below it take no part
NUMBERS = 0.01  # a share: smaller ones are not written down


def draw(
    folder: Path,
    backbone: nn.Module,
    methods: Mapping[str, nn.Module],
    picture: Tensor,
    pixel: tuple[int, int] | None = None,
) -> list[Path]:
    """components.png in folder; with a pixel (x, y) of the picture [3, H, W] similarity.png and footprint.png too.

    methods: title -> module with forward(image, features)."""
    image = picture[None]
    with torch.no_grad():
        low = backbone(image)
        maps = {"low-res": low[0], **{title: dense(image, low)[0].float() for title, dense in methods.items()}}
    draw_components(folder / "components.png", picture, maps)
    if pixel is None:
        return [folder / "components.png"]
    draw_similarity(folder / "similarity.png", picture, maps, *pixel)
    found = {title: footprint(dense, image, low, *pixel) for title, dense in methods.items()}
    draw_footprints(folder / "footprint.png", picture, found, *pixel)
    return [folder / f"{name}.png" for name in ("components", "similarity", "footprint")]


def draw_components(path: Path, picture: Tensor, maps: Mapping[str, Tensor]) -> None:
    """picture [3, H, W]; maps: title -> features [C, h, w]. All have the colours that the first one's components give."""
    projection = find_projection(next(iter(maps.values())))

    def show(axes: Axes, features: Tensor) -> None:
        axes.imshow(colours(features, projection).numpy(), interpolation="nearest")

    _draw(path, picture, {_sized(title, each): each for title, each in maps.items()}, show)


def draw_similarity(path: Path, picture: Tensor, maps: Mapping[str, Tensor], x: int, y: int) -> None:
    """The same maps: the cosine of each feature to that of the picture's pixel (x, y), one scale for all."""
    size = picture.shape[1:]
    found = {_sized(title, each): similarity(each, size, x, y) for title, each in maps.items()}
    low = min(each.quantile(0.02).item() for each in found.values())

    def show(axes: Axes, cosines: Tensor) -> None:
        shown = axes.imshow(cosines.numpy(), "viridis", vmin=low, vmax=1, interpolation="nearest", extent=_extent(size))
        axes.plot(x, y, **INSIDE_MARK)
        shows.append(shown)

    def finish(figure: Figure) -> None:
        figure.colorbar(shows[0], ax=figure.axes, label="cosine", shrink=0.8)

    shows = []
    _draw(path, picture, found, show, (x, y), finish)


def draw_footprints(path: Path, picture: Tensor, footprints: Mapping[str, Tensor], x: int, y: int) -> None:
    """footprints: title -> [h, w], as `footprint` finds them for the picture's pixel (x, y): the part of the picture around
    it, the darker the less a cell counts; numbers are percent of the sum."""
    H, W = size = picture.shape[1:]
    h, w = next(iter(footprints.values())).shape
    reach_x, reach_y = (REACH + 0.5) * W / w, (REACH + 0.5) * H / h
    pixels = picture.permute(1, 2, 0).numpy()

    def show(axes: Axes, weights: Tensor) -> None:
        share = (weights / weights.sum()).numpy()
        axes.imshow(pixels)
        light = np.sqrt(share / share.max())
        cover = np.zeros((*share.shape, 4))
        cover[..., 3] = 0.9 * (1 - light)
        axes.imshow(cover, interpolation="nearest", extent=_extent(size))
        axes.set_xlim(x - reach_x, x + reach_x)
        axes.set_ylim(y + reach_y, y - reach_y)
        for row, column in np.argwhere(share >= NUMBERS):
            at_x, at_y = (column + 0.5) * W / w - 0.5, (row + 0.5) * H / h - 0.5
            if abs(at_x - x) < reach_x - W / w / 3 and abs(at_y - y) < reach_y - H / h / 3:
                axes.text(at_x, at_y, f"{100 * share[row, column]:.0f}", **NUMBER)
        axes.plot(x, y, **INSIDE_MARK)

    counts = {title: int((each >= UNSEEN * each.max()).sum()) for title, each in footprints.items()}
    titles = {f"{title}: {counts[title]} cell{'s' * (counts[title] > 1)}": each for title, each in footprints.items()}
    _draw(path, picture, titles, show, (x, y))


def _draw(
    path: Path,
    picture: Tensor,
    panels: Mapping[str, Tensor],
    show: Callable[[Axes, Tensor], None],
    pixel: tuple[int, int] | None = None,
    finish: Callable[[Figure], object] | None = None,
) -> None:
    """The picture, the pixel marked in it, and one panel for each title."""
    count = 1 + len(panels)
    rows = -(-count // PER_ROW)
    columns = -(-count // rows)
    H, W = picture.shape[1:]
    figure = Figure(figsize=(PANEL * columns, rows * (PANEL * H / W + 0.3)), layout="constrained")
    first, *others = figure.subplots(rows, columns, squeeze=False).flat
    first.imshow(picture.permute(1, 2, 0).numpy())
    first.set_title("picture", fontsize=9)
    if pixel:
        first.plot(*pixel, **MARK)
        first.plot(*pixel, **INSIDE_MARK)
    for axes, (title, panel) in zip(others, panels.items()):
        show(axes, panel)
        axes.set_title(title, fontsize=9)
    for axes in others[len(panels) :]:
        axes.remove()
    for axes in figure.axes:
        axes.set_axis_off()
    if finish:
        finish(figure)
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=100)
    write_whole(path, buffer.getvalue())


def _sized(title: str, features: Tensor) -> str:
    return f"{title}, {features.shape[2]} x {features.shape[1]}"


def _extent(size: tuple[int, int]) -> tuple[float, float, float, float]:
    """Of a map of any resolution over the picture's pixels."""
    return -0.5, size[1] - 0.5, size[0] - 0.5, -0.5
