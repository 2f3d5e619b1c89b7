"""A small restoration model whose resolution goes down by 4 and up again in two steps, by the upsampler under study."""

from torch import Tensor, nn

import upwell.nn

STRIDE = 4  # px of the photograph per pixel of the innermost maps
CHANNELS = (16, 32, 64)  # at full, half and quarter resolution
TITLES = {
    "nearest": "Nearest",
    "pixelshuffle": "PixelShuffle",
    "deconv": "Deconvolution 3x3",
    "lctc7": "LCTC 7x7",
    "lctc11": "LCTC 11x11",
}
NAMES = tuple(TITLES)


class Restorer(nn.Module):
    """With skips a decoder adds what the encoder had at the same resolution, as NAFNet and other models do that are U-shaped.
    Without, no path goes around the upsamplers: what they cannot make is missing, and what they add stays."""

    def __init__(self, upsampler: str, skips: bool = True):
        super().__init__()
        full, half, quarter = CHANNELS
        self.skips = skips
        self.encode_full = convolution(3, full)
        self.encode_half = convolution(full, half, 2)
        self.encode_quarter = nn.Sequential(convolution(half, quarter, 2), convolution(quarter, quarter))
        self.to_half = make_upsampler(upsampler, quarter, half)
        self.to_full = make_upsampler(upsampler, half, full)
        self.decode_half = convolution(half, half) if skips else nn.ReLU()
        self.decode_full = convolution(full, full) if skips else nn.ReLU()
        self.last = nn.Conv2d(full, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        """x [N, 3, H, W] -> [N, 3, H, W]; 4 divides H and W."""
        full = self.encode_full(x)
        half = self.encode_half(full)
        made = self.to_half(self.encode_quarter(half))
        made = self.to_full(self.decode_half(made + half if self.skips else made))
        return self.last(self.decode_full(made + full if self.skips else made))


def convolution(in_channels: int, out_channels: int, stride: int = 1) -> nn.Module:
    return nn.Sequential(nn.Conv2d(in_channels, out_channels, 3, stride, padding=1), nn.ReLU())


def make_upsampler(name: str, in_channels: int, out_channels: int) -> nn.Module:
    """[N, in_channels, h, w] -> [N, out_channels, 2 h, 2 w]."""
    if name == "nearest":
        return nn.Sequential(nn.Conv2d(in_channels, out_channels, 1), upwell.nn.Nearest(2))
    if name == "pixelshuffle":
        return upwell.nn.PixelShuffle(in_channels, 2, 1, out_channels)
    if name == "deconv":
        return upwell.nn.Deconv(in_channels, out_channels)
    return upwell.nn.LCTC(in_channels, out_channels, {"lctc7": 7, "lctc11": 11}[name])
