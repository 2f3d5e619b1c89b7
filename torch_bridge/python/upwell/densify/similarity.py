"""How alike the features of a picture are to those of one of its pixels."""

import torch
import torch.nn.functional as F
from torch import Tensor

from upwell.densify.at_pixels import at_pixels
from upwell.nn.check import check


def check_pixel(of: str, x: int, y: int, size: tuple[int, int]) -> None:
    H, W = size
    check(0 <= x < W and 0 <= y < H, f"{of}: pixel x,y should be in 0..{W - 1},0..{H - 1} but is {x},{y}")


def similarity(features: Tensor, size: tuple[int, int], x: int, y: int) -> Tensor:
    """features [C, h, w] of a picture of size (H, W) -> [h, w]: the cosine of each to what is at the picture's (x, y)."""
    check_pixel("similarity", x, y, size)
    there = at_pixels(features, size, torch.tensor([y]), torch.tensor([x]))
    return F.cosine_similarity(features, there[:, :, None], 0)
