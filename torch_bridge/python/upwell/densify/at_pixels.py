"""What a map of features says at pixels of its picture: bilinear, whatever the map's resolution, so that all methods
are read alike."""

import torch
import torch.nn.functional as F
from torch import Tensor


def at_pixels(features: Tensor, size: tuple[int, int], rows: Tensor, columns: Tensor) -> Tensor:
    """features [C, h, w] of a picture of size (H, W); rows, columns [n] integers -> [C, n]: what the features are there
    when they are interpolated to H x W (bilinear, align_corners=False)."""
    axes = (columns, size[1]), (rows, size[0])
    places = torch.stack([(2 * at.float() + 1) / length - 1 for at, length in axes], -1)
    read = F.grid_sample(
        features[None], places[None, None].to(features), mode="bilinear", padding_mode="border", align_corners=False
    )
    return read[0, :, 0]


def whole(features: Tensor, size: tuple[int, int]) -> Tensor:
    """features [C, h, w] -> [C, H, W]: the same at every pixel."""
    return F.interpolate(features[None], size, mode="bilinear", align_corners=False)[0]
