"""Paired central difference convolution (ReSFU): scores of K*K neighbours, composed of torch operations."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from upwell import ops
from upwell.nn.check import check, check_divides, check_odd
from upwell.nn.norm import GroupNorm, group_statistics
from upwell.nn.pad import replicate_pad, shift

# Channels L of the difference: the paper's text says 32, its code 128.
LAYOUTS = {"published": 128, "paper": 32}
HIDDEN = 128


class Ratio(NamedTuple):
    """High-res pixels per low-res pixel along an axis, high / low exactly."""

    high: int
    low: int = 1


class PCDCBlock(nn.Module):
    """v = conv(k, w, taps one ratio apart) - conv1x1(q, sum of w) + bias, two 1x1 convolutions to K*K scores.

    k and q pass one GroupNorm each, with statistics of their own and shared affine parameters; its
    bias cancels in v and is there for the published state_dict.

    Args:
        in_channels: D of k and q.
        kernel_size: K, odd.
        groups: G, of the convolutions.
        gn_dim: groups of the GroupNorms; divides D and 128.
        lr_mult: factor on the gradient of every parameter (not on what passes through to k and q).
        layout: "published" (L = 128, ReLU before the first 1x1 convolution) or "paper" (L = 32, none).
    """

    def __init__(
        self,
        in_channels: int,
        kernel_size: int = 3,
        groups: int = 4,
        gn_dim: int = 8,
        lr_mult: float = 1.0,
        layout: str = "published",
    ):
        super().__init__()
        check(layout in LAYOUTS, f"PCDCBlock: layout should be 'published' or 'paper' but is {layout!r}")
        check_odd("PCDCBlock", "kernel_size", kernel_size)
        mid_channels = LAYOUTS[layout]
        for name, divisor in (("groups", groups), ("gn_dim", gn_dim)):
            check_divides("PCDCBlock", name, divisor, "in_channels", in_channels)
        check_divides("PCDCBlock", "groups", groups, "mid_channels", mid_channels)
        check_divides("PCDCBlock", "gn_dim", gn_dim, "the hidden channels", HIDDEN)
        self.kernel_size = kernel_size
        self.groups = groups
        self.lr_mult = lr_mult
        self.layout = layout
        self.norm = GroupNorm(gn_dim, in_channels)
        self.channel_compressor = nn.Sequential(
            *([nn.ReLU()] if layout == "published" else []),
            nn.Conv2d(mid_channels, HIDDEN, 1, groups=groups),
            nn.ReLU(),
            GroupNorm(gn_dim, HIDDEN),
            nn.Conv2d(HIDDEN, kernel_size**2, 1),
        )
        self.weight = nn.Parameter(torch.empty(mid_channels, in_channels // groups, kernel_size, kernel_size))
        self.bias = nn.Parameter(torch.zeros(1, mid_channels, 1, 1))
        nn.init.kaiming_normal_(self.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, k: Tensor, q: Tensor, rows: Ratio, columns: Ratio) -> Tensor:
        """k, q [N, D, H, W], neighbours rows and columns apart -> scores [N, K*K, H, W]."""
        k = torch.group_norm(k, self.norm.num_groups, self._scaled(self.norm.weight), None, self.norm.eps)
        return self._scores(self._spread_convolution(k, rows, columns), q)

    def forward_low_res(self, k: Tensor, k_up: Tensor, q: Tensor) -> Tensor:
        """forward(k_up, q) where k_up is the bilinear upsampling of k, neighbours one low-res pixel apart.

        The upsampling of the convolution of k on [-1, h] x [-1, w] is the spread-out convolution of k_up:
        the same numbers, exactly for integer ratios, for H/h times W/w less work. (At other ratios
        forward would interpolate k_up once more, between its pixels; this does not.)

        k [N, D, h, w], k_up and q [N, D, H, W] -> scores [N, K*K, H, W].
        """
        mean, rstd = group_statistics(k_up, self.norm.num_groups, self.norm.eps)
        k = (k - mean) * rstd * self._scaled(self.norm.weight)[:, None, None]
        around = self.kernel_size // 2 + 1
        low = F.conv2d(replicate_pad(k, around, around), self._scaled(self.weight), groups=self.groups)
        return self._scores(upsample_beyond_border(low, q.shape[2:]), q)

    def _scaled(self, parameter: Tensor) -> Tensor:
        """The parameter's value, its gradient times lr_mult; no hook, so copies keep it."""
        if self.lr_mult == 1:
            return parameter
        fixed = parameter.detach()
        return fixed + self.lr_mult * (parameter - fixed)

    def _spread_convolution(self, k: Tensor, rows: Ratio, columns: Ratio) -> Tensor:
        """conv(k, weight) with taps one ratio apart, replicate border, bilinear between pixels."""
        radius, weight = self.kernel_size // 2, self._scaled(self.weight)
        if rows.high % rows.low == 0 and columns.high % columns.low == 0:
            dilation = (rows.high // rows.low, columns.high // columns.low)
            padded = replicate_pad(k, radius * dilation[0], radius * dilation[1])
            return F.conv2d(padded, weight, dilation=dilation, groups=self.groups)
        offsets = range(-radius, radius + 1)
        shifted = [shift(k, 2, i * rows.high, rows.low) for i in offsets]
        taps = [shift(row, 3, i * columns.high, columns.low) for row in shifted for i in offsets]
        stacked = torch.stack(taps, 2).flatten(1, 2)  # N, D * K*K, H, W
        return F.conv2d(stacked, weight.flatten(1)[:, :, None, None], groups=self.groups)

    def _scores(self, key: Tensor, q: Tensor) -> Tensor:
        """key [N, L, H, W] convolved already, q [N, D, H, W] -> scores [N, K*K, H, W]."""
        q = torch.group_norm(q, self.norm.num_groups, self._scaled(self.norm.weight), None, self.norm.eps)
        sums = self._scaled(self.weight).sum((2, 3), keepdim=True)
        # The norm's bias cancels; naming it gives it the gradient 0 that optimisers and DDP expect.
        bias = self._scaled(self.bias) + 0 * self.norm.bias.sum()
        v = key - F.conv2d(q, sums, groups=self.groups) + bias
        first, _, norm, last = self.channel_compressor[-4:]
        if self.layout == "published":
            v = v.relu_()
        hidden = F.conv2d(v, self._scaled(first.weight), self._scaled(first.bias), groups=self.groups).relu_()
        affine = self._scaled(norm.weight), self._scaled(norm.bias)
        hidden = torch.group_norm(hidden, norm.num_groups, *affine, norm.eps)
        return F.conv2d(hidden, self._scaled(last.weight), self._scaled(last.bias))


def upsample_beyond_border(low: Tensor, size: torch.Size) -> Tensor:
    """Upsampling of a map known one pixel beyond its border: low [N, L, h + 2, w + 2] -> [N, L, *size]."""
    h, w = low.shape[2] - 2, low.shape[3] - 2
    H, W = size
    if H % h == 0 and W % w == 0:
        rows, columns = H // h, W // w
        whole = ops.bilinear(low, (H + 2 * rows, W + 2 * columns))
        return whole[:, :, rows : rows + H, columns : columns + W]
    return _interpolation(low, h, H) @ low @ _interpolation(low, w, W).T


def _interpolation(like: Tensor, h: int, H: int) -> Tensor:
    """[H, h + 2]: the weight of the pixels -1 .. h in a row of the upsampled map, 1 - |u(p) - pixel|."""
    twice_u = (2 * torch.arange(H, device=like.device) + 1) * h - H  # 2 H u(p), an integer
    distance = (twice_u[:, None] - 2 * H * torch.arange(-1, h + 1, device=like.device)).abs()
    return (1 - distance.to(like.dtype) / (2 * H)).clamp_min(0)
