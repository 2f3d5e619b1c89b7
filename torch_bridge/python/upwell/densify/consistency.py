"""Held-out consistency: features of a small picture, upsampled, against the backbone's own features of the picture when
it is ratio times as large."""

from collections.abc import Iterable
from statistics import fmean

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from upwell.nn.check import check, check_rank


def up(length: int, multiple: int) -> int:
    """The next multiple: a side that a backbone takes."""
    return -(-length // multiple) * multiple


def square(picture: Tensor, side: int) -> Tensor:
    """picture [1, 3, H, W] in 0 .. 1 -> [1, 3, side, side]: its middle, resized; what shrinks is smoothed first."""
    least = min(picture.shape[2:])
    top, left = ((length - least) // 2 for length in picture.shape[2:])
    middle = picture[:, :, top : top + least, left : left + least]
    return F.interpolate(middle, (side, side), mode="bilinear", align_corners=False, antialias=True)


def targets(backbone: nn.Module, picture: Tensor, side: int, ratio: int) -> tuple[Tensor, Tensor, Tensor]:
    """The small picture [1, 3, side, side], its features [1, C, h, w], and those of the large one
    [1, C, ratio h, ratio w], whose mean over squares the small one is. A picture of fewer pixels than the large one is enlarged."""
    check_rank("consistency", "picture", picture)
    check(
        side % backbone.multiple == 0 and side > 0,
        f"consistency: side should be a multiple of {backbone.multiple} for {backbone.name} but is {side}",
    )
    large = square(picture, ratio * side)
    small = F.avg_pool2d(large, ratio)
    with torch.no_grad():
        return small, backbone(small), backbone(large)


def score(dense: nn.Module, found: Iterable[tuple[Tensor, Tensor, Tensor]]) -> dict[str, float]:
    """found: what `targets` gives of each picture -> means over the pictures of what `agreement` tells of dense; {} of none.
    The maps have one size, so they are means over all pixels, too."""
    results = [agreement(dense(small, low), target) for small, low, target in found]
    return {key: fmean(result[key] for result in results) for key in results[0]} if results else {}


def agreement(output: Tensor, target: Tensor) -> dict[str, float]:
    """output, target [N, C, H, W] -> cosine: the mean over pixels; mse: the mean squared difference."""
    check(
        output.shape == target.shape,
        f"consistency: output should be {list(target.shape)}, the backbone's for the larger picture, but is "
        f"{list(output.shape)}",
    )
    cosine = F.cosine_similarity(output.double(), target.double(), 1).mean().item()
    return {"cosine": cosine, "mse": (output.double() - target.double()).square().mean().item()}
