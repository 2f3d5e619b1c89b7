"""What a camera with a soft lens and too few pixels makes of a photograph."""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from photographs import Photograph

REACH = 2  # standard deviations of the blur that its kernel covers


@dataclass
class Example:
    """A photograph and its few blurred samples. H = scale h, W = scale w; sample i lies at pixel scale i."""

    name: str
    truth: Tensor  # N, 3, H, W, in 0 .. 1
    low: Tensor  # N, 3, h, w
    scale: int

    def crop(self, row: int, column: int, size: int) -> "Example":
        """The size x size samples whose first is (row, column), and their pixels."""
        window = (..., slice(row, row + size), slice(column, column + size))
        pixels = (..., *(slice(self.scale * start, self.scale * (start + size)) for start in (row, column)))
        return Example(self.name, self.truth[pixels], self.low[window], self.scale)


def kernel_size(blur: float) -> int:
    return 2 * math.ceil(REACH * blur) + 1


def degrade(photograph: Photograph, blur: float, scale: int) -> Example:
    """The photograph, cut to whole samples, and every scale-th sample of it blurred by a Gaussian of some px."""
    height, width = (length // scale * scale for length in photograph.pixels.shape[2:])
    truth = photograph.pixels[..., :height, :width].contiguous()
    reach = kernel_size(blur) // 2
    profile = torch.exp(-((torch.arange(-reach, reach + 1) / blur) ** 2) / 2)
    profile /= profile.sum()
    kernel = (profile[:, None] * profile).expand(3, 1, -1, -1)
    padded = F.pad(truth, [reach] * 4, mode="replicate")
    return Example(photograph.name, truth, F.conv2d(padded, kernel, stride=scale, groups=3), scale)
