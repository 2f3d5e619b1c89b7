"""PixelShuffle (arXiv 1609.05158): the pixels of a cell are channels of a low-res convolution."""

import torch.nn.functional as F
from torch import Tensor, nn

from upwell.nn.check import check_map, check_odd, check_whole


class PixelShuffle(nn.Sequential):
    """A convolution to r^2 as many channels, which then become the pixels of a cell (Eq. 3 and 4 of the paper).

    It is torch.nn.Sequential(Conv2d, PixelShuffle) with a "same" padding, also in initial values and state_dict.

    Args:
        channels: C of the features.
        scale_factor: integer ratio r.
        kernel_size: K of the convolution, odd.
        out_channels: of the output; as many as channels if None.
    """

    def __init__(self, channels: int, scale_factor: int, kernel_size: int = 3, out_channels: int | None = None):
        out_channels = channels if out_channels is None else out_channels
        for name, value in (("channels", channels), ("scale_factor", scale_factor), ("out_channels", out_channels)):
            check_whole("PixelShuffle", name, value, 1)
        check_odd("PixelShuffle", "kernel_size", kernel_size)
        scale = int(scale_factor)
        convolution = nn.Conv2d(channels, out_channels * scale**2, kernel_size, padding=kernel_size // 2)
        super().__init__(convolution, _Shuffle(scale))
        self.channels = channels
        self.scale_factor = scale

    def forward(self, x: Tensor) -> Tensor:
        """x [N, C, h, w] -> [N, out_channels, r h, r w]."""
        check_map(self, "x", x, self.channels)
        return super().forward(x)


class _Shuffle(nn.PixelShuffle):
    def forward(self, x: Tensor) -> Tensor:
        return pixel_shuffle(x, self.upscale_factor)


def pixel_shuffle(x: Tensor, scale: int) -> Tensor:
    """torch's, whose backward of an empty batch gives the wrong shape on a CPU (torch 2.11)."""
    N, C, h, w = x.shape
    return x.reshape(0, C // scale**2, scale * h, scale * w) if N == 0 else F.pixel_shuffle(x, scale)
