"""Paired central difference convolution (ReSFU): scores of K*K neighbours."""

import torch
from torch import Tensor, nn

from upwell import ops
from upwell.nn.check import check, check_divides, check_odd
from upwell.nn.difference import Difference, Ratio
from upwell.nn.gaussian import gaussian3
from upwell.nn.layer import is_plain, is_projection, laid_out
from upwell.nn.norm import NORM_EPS, GroupNorm, group_norm_of_upsampled, is_group_norm, without_autocast

# Channels L of the difference: the paper's text says 32, its code 128.
LAYOUTS = {"published": 128, "paper": 32}
HIDDEN = 128


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
        keep_mib: how many MiB the 128 hidden channels of a call may take to be kept on a CPU, see ops.pcdc_scores.
    """

    def __init__(
        self,
        in_channels: int,
        kernel_size: int = 3,
        groups: int = 4,
        gn_dim: int = 8,
        lr_mult: float = 1.0,
        layout: str = "published",
        keep_mib: int = -1,
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
        self.keep_mib = keep_mib
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

    def forward(
        self, k: Tensor, q: Tensor, rows: Ratio | None = None, columns: Ratio | None = None, blur: bool = False
    ) -> Tensor:
        """k, q [N, D, H, W], neighbours rows and columns apart -> scores [N, K*K, H, W].

        Without rows and columns, k [N, D, h, w] stands for its bilinear upsampling, neighbours one pixel of k apart: the
        same numbers, exactly for integer ratios, for H/h times W/w less work, since the spread-out convolution of the
        upsampled k is the upsampling of k's. (At other ratios a map would be interpolated once more, between its pixels.)

        blur: k by the 3x3 Gaussian (sigma 1, replicate border) before anything else.
        """
        if not self._is_plain():
            with without_autocast(q):  # as the operator
                maps = (x.to(self.bias.dtype) for x in (k, q))
                return self._composed(*maps, rows, columns, blur)
        ratio = None if rows is None else [*rows, *columns]
        options = {"groups": self.groups, "norm_groups": self.norm.num_groups, "relu": self.layout == "published"}
        options["keep_mib"] = self.keep_mib
        return ops.pcdc_scores(k, q, *self._parameters_in_order(), ratio=ratio, blur=blur, **options)

    def _is_plain(self) -> bool:
        """Whether all layers may be read by the operator."""
        depth = 5 if self.layout == "published" else 4
        if not (is_plain(self.channel_compressor, nn.Sequential) and len(self.channel_compressor) == depth):
            return False
        *before, first, between, hidden, last = self.channel_compressor
        return (
            is_group_norm(self.norm, eps=NORM_EPS)
            and is_group_norm(hidden, eps=NORM_EPS, num_groups=self.norm.num_groups)
            and all(is_plain(layer, nn.ReLU) for layer in (*before, between))
            and is_projection(first, self.groups)
            and is_projection(last)
            and first.bias is not None
            and last.bias is not None
        )

    def _composed(self, k: Tensor, q: Tensor, rows: Ratio | None, columns: Ratio | None, blur: bool) -> Tensor:
        """forward with every layer called. A norm that has to be called sees the upsampled k, whatever the ratio."""
        k = gaussian3(k) if blur else k
        weight, bias = (self._scaled(laid_out(parameter)) for parameter in (self.weight, self.bias))
        difference, size = Difference(weight, bias, self.groups), q.shape[2:]
        if rows is None and is_group_norm(self.norm):
            affine = (self._scaled(self.norm.weight), self._scaled(self.norm.bias))
            k = group_norm_of_upsampled(k, size, self.norm, *affine)
            v = difference.of_low_res(k, self._called(self.norm, q))
        else:
            if rows is None:
                rows, columns = (Ratio(high, low) for high, low in zip(size, k.shape[2:]))
                k = ops.bilinear(k, size)
            v = difference.of_map(self._called(self.norm, k), self._called(self.norm, q), rows, columns)
        return self._called(self.channel_compressor, v)

    def _parameters_in_order(self) -> list[Tensor]:
        """What ops.pcdc_scores takes behind key and query."""
        first, _, norm, last = [*self.channel_compressor][-4:]
        # The norm's bias cancels; naming it gives it the gradient 0 that optimisers and DDP expect.
        bias = self._scaled(laid_out(self.bias)) + 0 * self.norm.bias.sum()
        compressor = (laid_out(first.weight), first.bias, norm.weight, norm.bias, laid_out(last.weight), last.bias)
        return [
            *(self._scaled(self.norm.weight), self._scaled(laid_out(self.weight)), bias),
            *(self._scaled(parameter) for parameter in compressor),
        ]

    def _scaled(self, tensor: Tensor) -> Tensor:
        """The tensor's value, its gradient times lr_mult; no hook, so copies keep it."""
        return _scale_gradient(tensor, self.lr_mult)

    def _called(self, layer: nn.Module, x: Tensor) -> Tensor:
        """layer(x), the gradients of its parameters times lr_mult, that of x as it is."""
        if self.lr_mult == 1:
            return layer(x)
        check(self.lr_mult != 0, "PCDCBlock: lr_mult should not be 0 where a layer has to be called (it has hooks, say)")
        return self._scaled(layer(_scale_gradient(x, 1 / self.lr_mult)))


def _scale_gradient(tensor: Tensor, factor: float) -> Tensor:
    if factor == 1:
        return tensor
    fixed = tensor.detach()
    return fixed + factor * (tensor - fixed)
