"""Stereo correspondence: whether the nearest feature along a row of the other picture is the one that belongs there."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from upwell.densify.at_pixels import at_pixels
from upwell.nn.check import check
from upwell.train.dataset import to_tensor

TOLERANCE = 2.0  # px
STEP = 8  # every so many rows are scored


class StereoPair(NamedTuple):
    name: str
    left: Tensor  # [1, 3, H, W] in 0 .. 1
    right: Tensor  # the same
    disparity: Tensor  # [H, W] px: pixel (y, x) of left is pixel (y, x - disparity) of right; not finite: unknown


def motorcycle(multiple: int = 1) -> StereoPair:
    """The Middlebury pair that scikit-image carries, its sides cut to a multiple of some pixels."""
    from skimage import data  # whoever evaluates on pictures of their own does without it

    left, right, disparity = data.stereo_motorcycle()
    H, W = (length // multiple * multiple for length in disparity.shape)
    left, right = (to_tensor(picture[:H, :W])[None] for picture in (left, right))
    return StereoPair("motorcycle", left, right, torch.from_numpy(disparity[:H, :W].astype("float32")))


def matched(left: Tensor, right: Tensor, disparity: Tensor, tolerance: float = TOLERANCE, step: int = STEP) -> float:
    """The share of pixels whose most similar feature (by cosine) along the same row of the right picture lies within
    tolerance px of the true place. Of every step-th row, all pixels count whose disparity is known and whose true place
    is in the picture.

    left, right [C, h, w]: features of pictures of disparity's [H, W], read at each of their pixels.
    """
    check(
        left.shape == right.shape and left.dim() == 3,
        f"correspondence: left and right should be of one shape [C, h, w] but are {list(left.shape)} and "
        f"{list(right.shape)}",
    )
    H, W = disparity.shape
    columns = torch.arange(W)
    right_or_not = []
    for y in range(step // 2 if H > step // 2 else 0, H, step):
        true_place = columns - disparity[y]
        counts = torch.isfinite(true_place) & (true_place >= 0) & (true_place <= W - 1)
        row = torch.full((W,), y)
        ours, theirs = (F.normalize(at_pixels(each, (H, W), row, columns), dim=0) for each in (left, right))
        place = (ours.T @ theirs).argmax(1)
        right_or_not.append(((place - true_place).abs() <= tolerance)[counts])
    found = torch.cat(right_or_not)
    check(len(found) > 0, "correspondence: disparity should be known somewhere but is nowhere")
    return found.double().mean().item()
