"""Nearest and bilinear upsampling: the baselines."""

import math
from collections.abc import Sequence
from numbers import Real

from torch import Tensor, nn

from upwell import ops
from upwell.nn.check import check, check_rank


class _Interpolate(nn.Module):
    """Upsampling by a fixed factor, or to the size that the call gives.

    Args:
        scale_factor: s, of rows and columns, or one of each. The output is floor(s h) x floor(s w).
        recompute_scale_factor: which ratio positions follow where s h is no whole number. False: s, as
            torch.nn.Upsample's default. True: the ratio H/h of the rounded size, as torch's with this option.
            A call that gives a size always follows H/h.
    """

    def __init__(self, scale_factor: float | Sequence[float] = 2, recompute_scale_factor: bool | None = None):
        super().__init__()
        factors = scale_factor if isinstance(scale_factor, Sequence) else (scale_factor, scale_factor)
        check(
            len(factors) == 2 and all(isinstance(factor, Real) and 0 < factor < math.inf for factor in factors),
            f"{type(self).__name__}: scale_factor should be positive and finite but is {scale_factor}",
        )
        self.scale_factor = scale_factor
        self.recompute_scale_factor = recompute_scale_factor

    def extra_repr(self) -> str:
        recompute = ", recompute_scale_factor=True" if self.recompute_scale_factor else ""
        return f"scale_factor={self.scale_factor}{recompute}"

    def _target(self, x: Tensor, size: Sequence[int] | None) -> dict:
        """What the operator takes besides x."""
        check_rank(self, "x", x)
        if size is not None:
            return {"size": size}
        return {"scale_factor": self.scale_factor, "recompute_scale_factor": self.recompute_scale_factor}


class Bilinear(_Interpolate):
    __doc__ = f"Bilinear upsampling, align_corners=False. {_Interpolate.__doc__}"

    def forward(self, x: Tensor, size: Sequence[int] | None = None) -> Tensor:
        """x [N, C, h, w] -> [N, C, H, W]: size, or floor(scale_factor h) x floor(scale_factor w)."""
        return ops.bilinear(x, **self._target(x, size))


class Nearest(_Interpolate):
    __doc__ = f"Nearest-neighbour upsampling. {_Interpolate.__doc__}"

    def forward(self, x: Tensor, size: Sequence[int] | None = None) -> Tensor:
        """x [N, C, h, w] -> [N, C, H, W]: size, or floor(scale_factor h) x floor(scale_factor w)."""
        return ops.nearest(x, **self._target(x, size))
