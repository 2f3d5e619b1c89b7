"""Weighted reverse convolution (WRC, arXiv 2605.17472): upsampling as an inverse problem."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from upwell import ops
from upwell.nn.check import check, check_choice, check_map, check_whole
from upwell.nn.layer import is_plain, laid_out
from upwell.nn.pad import MODES, pad

SOLVERS = ("spectral", "exact")
CENTRES = ("image", "kernel")
# What the constructor makes w_conv_high, besides its channels.
MIXING = {
    **dict.fromkeys(("stride", "padding", "dilation"), (1, 1)),
    **{"kernel_size": (3, 3), "padding_mode": "zeros", "groups": 1, "bias": None},
}


class WRC(nn.Module):
    """The high-res map that, blurred by a learned kernel and sampled, explains x, and stays near x's upsampling.

    Per channel it is to minimise ||W^(1/2) (S B X - x)||^2 + ||P^(1/2) (X - x0)||^2: B the depthwise kernel, S every
    scale-th pixel, x0 the bilinear upsampling of x, W and P learned maps of weights. The published constructor, initial
    values and state_dict.

    Args:
        in_channels, out_channels: C, the same.
        kernel_size: of B.
        scale: integer ratio.
        padding: pixels around x before all else, cut off the output again.
        padding_mode: "circular", "reflect", "replicate" or "constant" (zeros).
        eps: the least weight of the prior, above 0.
        solver: "spectral" is the published closed form, which is the minimiser where W and P are the same everywhere
            (they are not: it multiplies spatial weights onto spectra). "exact" solves the problem, by conjugate gradients.
        centre: of the spectral solver. "image": the kernel's spectrum rolled by half the image, as published, so that
            the data term explains an image shifted by half its size; "kernel": by half the kernel. exact: always "kernel".
        tolerance, max_iterations: of the exact solver, forward and backward: see `upwell.ops.wrc_exact`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        scale: int = 1,
        padding: int = 2,
        padding_mode: str = "circular",
        eps: float = 1e-5,
        solver: str = "spectral",
        centre: str = "image",
        tolerance: float = 1e-4,
        max_iterations: int = 100,
    ):
        super().__init__()
        for name, value, least in (
            ("in_channels", in_channels, 1),
            ("kernel_size", kernel_size, 1),
            ("scale", scale, 1),
            ("padding", padding, 0),
            ("max_iterations", max_iterations, 1),
        ):
            check_whole("WRC", name, value, least)
        check(out_channels == in_channels, f"WRC: out_channels should be in_channels {in_channels} but is {out_channels}")
        for name, value, known in (
            ("padding_mode", padding_mode, MODES),
            ("solver", solver, SOLVERS),
            ("centre", centre, CENTRES),
        ):
            check_choice("WRC", name, value, known)
        check(0 < eps < math.inf, f"WRC: eps should be positive and finite but is {eps}")
        check(0 <= tolerance < 1, f"WRC: tolerance should be in 0 .. 1 but is {tolerance}")
        self.in_channels = self.out_channels = int(in_channels)
        self.kernel_size = int(kernel_size)
        self.scale = int(scale)
        self.padding = int(padding)
        self.padding_mode = padding_mode
        self.eps = eps
        self.solver = solver
        self.centre = centre
        self.tolerance = tolerance
        self.max_iterations = int(max_iterations)
        C, K = self.in_channels, self.kernel_size
        self.weight = nn.Parameter(torch.randn(1, C, K * K).softmax(-1).view(1, C, K, K))
        self.bias = nn.Parameter(torch.zeros(1, C, 1, 1))
        self.w_conv_low = nn.Conv2d(C, C, 3, padding=1, bias=False)
        self.w_conv_high = nn.Conv2d(C, C, 3, padding=1, bias=False)

    @property
    def scale_factor(self) -> int:
        return self.scale

    def extra_repr(self) -> str:
        solver = f"{self.solver!r}" if self.solver == "exact" else f"{self.solver!r}, centre={self.centre!r}"
        return (
            f"{self.in_channels}, kernel_size={self.kernel_size}, scale={self.scale}, padding={self.padding}, "
            f"padding_mode={self.padding_mode!r}, solver={solver}"
        )

    def forward(self, x: Tensor) -> Tensor:
        """x [N, C, h, w] -> [N, C, scale h, scale w]."""
        check_map(self, "x", x, self.in_channels)
        check(
            self.padding_mode != "reflect" or self.padding < min(x.shape[2:]),
            f"WRC: padding should be smaller than the map to reflect it but is {self.padding} for x {list(x.shape)}",
        )
        height, width = (self.scale * length for length in x.shape[2:])
        x = pad(x, self.padding, self.padding_mode)
        data_weight, weighted_data = ops.wrc_data(x, self.w_conv_low(x))
        lam = F.softplus(laid_out(self.bias)).flatten() + self.eps
        precision, weighted = self._prior(x, lam)
        weight = laid_out(self.weight)[0]
        if self.solver == "exact":
            options = (self.scale, self.tolerance, self.max_iterations)
            output = ops.wrc_exact(precision, weighted, data_weight, x, weight, *options)
            if self.padding == 0 and output.requires_grad:  # its gradient keeps it, and a caller may write into ours
                output = output.clone()
        else:
            options = (self.scale, self.centre)
            output = ops.wrc_spectral(precision, weighted, data_weight, weighted_data, weight, *options)
        start = self.scale * self.padding
        return output.narrow(2, start, height).narrow(3, start, width).contiguous()

    def _prior(self, x: Tensor, lam: Tensor) -> tuple[Tensor, Tensor]:
        """ops.wrc_prior of x and its 1x1 convolution with each tap of w_conv_high. The 3x3 convolution of the upsampled
        map is the sum over taps of these, upsampled and shifted: what mixes channels runs at low resolution. Where
        w_conv_high has to be called, it takes the upsampled map."""
        C = self.in_channels
        if is_plain(self.w_conv_high, nn.Conv2d, in_channels=C, out_channels=C, **MIXING):
            taps = laid_out(self.w_conv_high.weight).permute(0, 2, 3, 1).reshape(9 * C, C, 1, 1)
            return ops.wrc_prior(x, F.conv2d(x, taps), lam, self.scale)
        high = F.interpolate(x, scale_factor=self.scale, mode="bilinear", align_corners=True)
        precision = torch.log1p(self.w_conv_high(high).square()) + lam[:, None, None]
        return precision, precision * high
