"""Nearest and bilinear upsampling: the baselines."""

from collections.abc import Sequence

from torch import Tensor, nn

from upwell import ops
from upwell.nn.check import check


class _Interpolate(nn.Module):
    """Upsampling by a fixed factor, or to the size that the call gives."""

    def __init__(self, scale_factor: float = 2):
        super().__init__()
        name = type(self).__name__
        check(scale_factor > 0, f"{name}: scale_factor should be positive but is {scale_factor}")
        self.scale_factor = scale_factor

    def extra_repr(self) -> str:
        return f"scale_factor={self.scale_factor}"

    def _size(self, x: Tensor, size: Sequence[int] | None) -> Sequence[int]:
        name = type(self).__name__
        check(x.dim() == 4, f"{name}: x should be [N, C, h, w] but is {list(x.shape)}")
        return [int(length * self.scale_factor) for length in x.shape[2:]] if size is None else size


class Bilinear(_Interpolate):
    """Bilinear upsampling, align_corners=False."""

    def forward(self, x: Tensor, size: Sequence[int] | None = None) -> Tensor:
        """x [N, C, h, w] -> [N, C, H, W]: size, or floor(scale_factor h) x floor(scale_factor w)."""
        return ops.bilinear(x, self._size(x, size))


class Nearest(_Interpolate):
    """Nearest-neighbour upsampling."""

    def forward(self, x: Tensor, size: Sequence[int] | None = None) -> Tensor:
        """x [N, C, h, w] -> [N, C, H, W]: size, or floor(scale_factor h) x floor(scale_factor w)."""
        return ops.nearest(x, self._size(x, size))
