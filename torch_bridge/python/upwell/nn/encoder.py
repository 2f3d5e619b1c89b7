"""Encoders of images and features that keep the size of a map: what AnyUp, JAFAR and NAF are built of."""

import torch.nn.functional as F
from torch import Tensor, nn

from upwell.nn.norm import GroupNorm
from upwell.nn.pad import pad

GROUPS = 8  # of every group norm, as published


class ReflectConv2d(nn.Conv2d):
    """nn.Conv2d with an odd kernel and a reflected border: the same parameters, and the output as large as the input."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(pad(x, self.kernel_size[0] // 2, "reflect"))


class Block(nn.Module):
    """conv(SiLU(GN(conv(SiLU(GN(x)))))), plus x if residual."""

    def __init__(self, channels: int, kernel_size: int, bias: bool, residual: bool):
        super().__init__()
        self.residual = residual
        self.norm1 = GroupNorm(GROUPS, channels)
        self.conv1 = ReflectConv2d(channels, channels, kernel_size, bias=bias)
        self.norm2 = GroupNorm(GROUPS, channels)
        self.conv2 = ReflectConv2d(channels, channels, kernel_size, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        made = self.conv1(F.silu(self.norm1(x)))
        made = self.conv2(F.silu(self.norm2(made)))
        return x + made if self.residual else made


def encoder(
    in_channels: int,
    channels: int,
    kernel_size: int = 1,
    block_kernel: int = 1,
    layers: int = 2,
    bias: bool = False,
    residual: bool = True,
) -> nn.Sequential:
    """A convolution and blocks, under the names of JAFAR and NAF. [N, in_channels, H, W] -> [N, channels, H, W]."""
    blocks = [Block(channels, block_kernel, bias, residual) for _ in range(layers)]
    return nn.Sequential(ReflectConv2d(in_channels, channels, kernel_size, bias=bias), *blocks)


def pool(x: Tensor, size: tuple[int, int]) -> Tensor:
    """x [N, C, n, m] -> [N, C, *size]; row i is the mean of rows floor(i n/H) .. ceil((i + 1) n/H) - 1. Up or down."""
    return x if list(x.shape[2:]) == list(size) else F.adaptive_avg_pool2d(x, size)
