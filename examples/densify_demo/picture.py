"""The picture that the demo ends with: features as colours, by the first three principal components of the large image's own."""

from pathlib import Path

import torch
from torch import Tensor, nn

from densify_demo.report import SIDE, Result
from upwell.densify.consistency import square, targets, up
from upwell.densify.draw import draw_components


def show(results: list[Result], frozen: nn.Module, image: Tensor, path: Path) -> tuple[str, Path]:
    """The middle of the photograph [3, H, W], its features at both resolutions, and what each method makes of the low ones."""
    ratio = results[0].method.dense.ratio
    side = up(SIDE, frozen.multiple)
    small, low, high = targets(frozen, image[None], side, ratio)
    with torch.no_grad():
        made = {f"{each.method.name}, {each.score['cosine']:.4f}": each.method.dense(small, low)[0] for each in results}
    draw_components(path, square(image[None], ratio * side)[0], {"of the large image": high[0], "low-res": low[0], **made})
    return "Picture", path
