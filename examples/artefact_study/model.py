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
    """No path goes around the upsamplers: what they cannot make is missing, and what they add stays."""

    def __init__(self, upsampler: str):
        super().__init__()
        full, half, quarter = CHANNELS
        self.body = nn.Sequential(
            nn.Conv2d(3, full, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(full, half, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(half, quarter, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(quarter, quarter, 3, padding=1),
            nn.ReLU(),
            make_upsampler(upsampler, quarter, half),
            nn.ReLU(),
            make_upsampler(upsampler, half, full),
            nn.ReLU(),
            nn.Conv2d(full, 3, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """x [N, 3, H, W] -> [N, 3, H, W]; 4 divides H and W."""
        return self.body(x)


def make_upsampler(name: str, in_channels: int, out_channels: int) -> nn.Module:
    """[N, in_channels, h, w] -> [N, out_channels, 2 h, 2 w]."""
    if name == "nearest":
        return nn.Sequential(nn.Conv2d(in_channels, out_channels, 1), upwell.nn.Nearest(2))
    if name == "pixelshuffle":
        return upwell.nn.PixelShuffle(in_channels, 2, 1, out_channels)
    if name == "deconv":
        return upwell.nn.Deconv(in_channels, out_channels)
    return upwell.nn.LCTC(in_channels, out_channels, {"lctc7": 7, "lctc11": 11}[name])
