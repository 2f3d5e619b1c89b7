"""The 3x3 Gaussian blur of ReSFU's detail branch."""

import math

import torch.nn.functional as F
from torch import Tensor

from upwell.nn.pad import replicate_pad

SIDE = math.exp(-0.5) / (1 + 2 * math.exp(-0.5))  # sigma 1, normalised
PROFILE = (SIDE, 1 - 2 * SIDE, SIDE)


def gaussian3(x: Tensor) -> Tensor:
    """x [N, D, H, W] blurred per channel with sigma 1 and replicate border -> [N, D, H, W]."""
    weight = x.new_tensor([[a * b for a in PROFILE] for b in PROFILE])
    channels = x.shape[1]
    return F.conv2d(replicate_pad(x, 1, 1), weight.expand(channels, 1, 3, 3), groups=channels)
