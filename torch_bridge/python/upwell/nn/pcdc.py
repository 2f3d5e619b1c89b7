"""Paired central difference convolution (ReSFU): scores of K*K neighbours."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from upwell import ops
from upwell.nn.check import check, check_divides, check_odd
from upwell.nn.norm import GroupNorm

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

    def forward(self, k: Tensor, q: Tensor, rows: Ratio, columns: Ratio, blur: bool = False) -> Tensor:
        """k, q [N, D, H, W], neighbours rows and columns apart -> scores [N, K*K, H, W].

        blur: k by the 3x3 Gaussian (sigma 1, replicate border) before anything else.
        """
        return ops.pcdc_scores(k, q, *self._parameters_in_order(), ratio=[*rows, *columns], blur=blur, **self._options())

    def forward_low_res(self, k: Tensor, q: Tensor) -> Tensor:
        """forward(bilinear(k), q) with neighbours one pixel of k apart, for less work: k [N, D, h, w], q [N, D, H, W].

        The upsampling of the convolution of k on [-1, h] x [-1, w] is the spread-out convolution of the upsampled
        k: the same numbers, exactly for integer ratios, for H/h times W/w less work. (At other ratios forward
        would interpolate the upsampled k once more, between its pixels; this does not.)
        """
        return ops.pcdc_scores(k, q, *self._parameters_in_order(), **self._options())

    def _options(self) -> dict:
        return {"groups": self.groups, "norm_groups": self.norm.num_groups, "relu": self.layout == "published"}

    def _parameters_in_order(self) -> list[Tensor]:
        """What ops.pcdc_scores takes behind key and query."""
        first, _, norm, last = self.channel_compressor[-4:]
        # The norm's bias cancels; naming it gives it the gradient 0 that optimisers and DDP expect.
        bias = self._scaled(self.bias) + 0 * self.norm.bias.sum()
        compressor = (first.weight, first.bias, norm.weight, norm.bias, last.weight, last.bias)
        return [
            *(self._scaled(self.norm.weight), self._scaled(self.weight), bias),
            *(self._scaled(parameter) for parameter in compressor),
        ]

    def _scaled(self, parameter: Tensor) -> Tensor:
        """The parameter's value, its gradient times lr_mult; no hook, so copies keep it."""
        if self.lr_mult == 1:
            return parameter
        fixed = parameter.detach()
        return fixed + self.lr_mult * (parameter - fixed)
