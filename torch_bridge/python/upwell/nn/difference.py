"""The paired central difference of whole maps, in torch's operations: for blocks with a layer that has to be called."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from upwell.nn.pad import replicate_pad


class Ratio(NamedTuple):
    """High-res pixels per low-res pixel along an axis, high / low exactly."""

    high: int
    low: int = 1


class Difference(NamedTuple):
    """conv(k, weight) - conv1x1(q, sum of weight) + bias, q [N, D, H, W] -> [N, L, H, W]."""

    weight: Tensor  # L, D/groups, K, K
    bias: Tensor  # 1, L, 1, 1
    groups: int

    def of_map(self, k: Tensor, q: Tensor, rows: Ratio, columns: Ratio) -> Tensor:
        """k [N, D, H, W], taps rows and columns apart, bilinear between pixels."""
        weight, row_step = _spread(self.weight, 2, rows)
        weight, column_step = _spread(weight, 3, columns)
        reach = (weight.shape[2] // 2 * row_step, weight.shape[3] // 2 * column_step)
        of_key = F.conv2d(replicate_pad(k, *reach), weight, dilation=(row_step, column_step), groups=self.groups)
        return of_key - self._of_query(q) + self.bias

    def of_low_res(self, k: Tensor, q: Tensor) -> Tensor:
        """The bilinear upsampling of k [N, D, h, w], taps one pixel of k apart: the upsampling of k's convolution, which
        reaches one pixel beyond the border."""
        around = self.weight.shape[2] // 2 + 1
        of_key = F.conv2d(replicate_pad(k, around, around), self.weight, groups=self.groups)
        for axis in (2, 3):
            of_key = _upsample_inside(of_key, axis, k.shape[axis], q.shape[axis])
        return of_key - self._of_query(q) + self.bias

    def _of_query(self, q: Tensor) -> Tensor:
        return F.conv2d(q, self.weight.sum((2, 3), keepdim=True), groups=self.groups)


def _spread(weight: Tensor, axis: int, ratio: Ratio) -> tuple[Tensor, int]:
    """Taps a ratio apart along an axis, as taps at whole pixels and the step between those: a tap between two pixels is
    shared by both."""
    if ratio.high % ratio.low == 0:
        return weight, ratio.high // ratio.low
    radius = weight.shape[axis] // 2
    reach = -(-radius * ratio.high // ratio.low)
    taps = torch.arange(-radius, radius + 1, device=weight.device) * ratio.high
    pixels = torch.arange(-reach, reach + 1, device=weight.device) * ratio.low
    shares = (ratio.low - (taps[:, None] - pixels).abs()).clamp_min(0).to(weight.dtype) / ratio.low
    return (weight.movedim(axis, -1) @ shares).movedim(-1, axis), 1


def _upsample_inside(x: Tensor, axis: int, low: int, high: int) -> Tensor:
    """The pixels -1 .. low of a map along an axis -> its bilinear upsampling at 0 .. high - 1."""
    doubled = (2 * torch.arange(high, device=x.device) + 1) * low + high  # 2 high times the place in x
    before = doubled // (2 * high)
    fraction = (doubled - 2 * high * before).to(x.dtype) / (2 * high)
    fraction = fraction[:, None] if axis == 2 else fraction
    return torch.lerp(x.index_select(axis, before), x.index_select(axis, before + 1), fraction)
