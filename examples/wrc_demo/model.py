"""The methods: each is a module from the samples [N, 3, h, w] to the photograph [N, 3, scale h, scale w]."""

import torch.nn.functional as F
from torch import Tensor, nn

import upwell.nn

SPECTRAL, CENTRED, EXACT = "wrc", "wrc_centred", "wrc_exact"
TITLES = {
    "bilinear": "Bilinear",
    "bicubic": "Bicubic",
    "deconv": "Transposed convolution",
    "pixelshuffle": "PixelShuffle",
    SPECTRAL: "WRC, spectral",
    CENTRED: "WRC, spectral, centred",
    EXACT: "WRC, exact",
}
NAMES = tuple(TITLES)
SAMPLES = 5  # low-res samples per side that a pixel of deconv and PixelShuffle is made of


class Interpolate(nn.Module):
    """Interpolation between samples that lie at every scale-th pixel, the first at the first."""

    def __init__(self, mode: str, scale: int):
        super().__init__()
        self.mode = mode
        self.scale = scale

    def forward(self, low: Tensor) -> Tensor:
        """low [N, C, h, w] -> [N, C, scale h, scale w]."""
        height, width = (self.scale * length for length in low.shape[2:])
        # One more sample on each axis makes aligned corners put sample i at pixel scale i.
        extended = F.pad(low, [0, 1, 0, 1], mode="replicate")
        size = (height + 1, width + 1)
        return F.interpolate(extended, size, mode=self.mode, align_corners=True)[..., :height, :width]


def make(name: str, scale: int, kernel_size: int) -> nn.Module:
    """kernel_size: of the blur, which WRC is told and has to learn the rest of."""
    if name in ("bilinear", "bicubic"):
        return Interpolate(name, scale)
    if name == "deconv":
        return upwell.nn.Deconv(3, kernel_size=(SAMPLES - 1) * scale + 1, stride=scale)
    if name == "pixelshuffle":
        return upwell.nn.PixelShuffle(3, scale, SAMPLES)
    options = {SPECTRAL: {}, CENTRED: {"centre": "kernel"}, EXACT: {"solver": "exact"}}[name]
    return upwell.nn.WRC(3, 3, kernel_size, scale, padding=kernel_size - 1, padding_mode="replicate", **options)
