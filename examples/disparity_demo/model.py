"""One model for every upsampler: low-res disparity in, the picture as guide, high-res disparity out."""

from collections.abc import Callable

from torch import Tensor, nn

import upwell
from disparity_demo.scene import Part

TITLES = {
    "bilinear": "Bilinear",
    "nearest": "Nearest",
    "carafe": "CARAFE",
    "lctc": "LCTC",
    "wrc": "WRC",
    "wrc_exact": "WRC, exact",
    "resfu": "ReSFU",
    "dysample": "DySample",
    "sapa": "SAPA",
    "fade": "FADE",
    "indexnet": "IndexNet",
    "pixelshuffle": "PixelShuffle",
    "deconv": "Deconvolution",
}
NAMES = ("bilinear", "nearest", "carafe", "lctc", "wrc", "wrc_exact", "resfu")  # what is compared where nothing is said
GUIDED = ("resfu", "sapa", "fade", "indexnet")
MODULES = {"wrc_exact": "wrc"}  # where the name is not the module's
GUIDE = 16  # channels of the guidance that a stem makes of the picture
PROJECTION_SPREAD = 0.1  # initial, of query and key projections
# The published border of CARAFE, SAPA and FADE would let the disparity fade to nothing at the picture's edge.
# WRC takes samples to lie at the first pixel of a cell, here they lie at its centre: the kernel has to reach there.
# The inputs are normalised already, by one rule for crops and whole pictures; so ReSFU and SAPA need not do it per input.
WRC = {"kernel_size": 9, "padding_mode": "replicate"}
OPTIONS = {
    "carafe": {"border": "mask"},
    "lctc": {"kernel_size": 25, "small_kernel": 9},
    "wrc": WRC,
    "wrc_exact": WRC | {"solver": "exact"},
    "resfu": {"embedding_dim": 16, "layout": "paper", "normx": False, "normy": False},
    "sapa": {"embedding_dim": 16, "norm": False, "border": "mask"},
    "fade": {"border": "mask"},
}


class DisparityUpsampler(nn.Module):
    """Upsamples the low-res disparity itself. Every output of bilinear, nearest, CARAFE, ReSFU and SAPA is a weighted mean
    of input disparities.

    Those that are guided are made for feature maps as guidance, so two convolutions, trained along, turn the picture into
    one. The others do not look at the picture.

    The disparity is normalised by the training part's mean and spread. Weights that sum to 1 commute with that, so it
    only brings the inputs of the learned weights to a usual size.
    """

    def __init__(self, name: str, train: Part, make: Callable[..., nn.Module] = upwell.nn.make):
        super().__init__()
        self.register_buffer("mean", train.low.mean())
        self.register_buffer("spread", train.low.std())
        guided = name in GUIDED
        self.stem = make_stem() if guided else nn.Identity()
        options = OPTIONS.get(name, {})
        self.upsampler = make(MODULES.get(name, name), 1, GUIDE if guided else 3, train.ratio, **options)
        if name in ("resfu", "sapa"):
            # The published 0.02 suits many channels; of so few it would leave queries nearly constant.
            for projection in (self.upsampler.q, self.upsampler.k):
                nn.init.normal_(projection.weight, std=PROJECTION_SPREAD)

    def forward(self, image: Tensor, low: Tensor) -> Tensor:
        """image [N, 3, H, W] in 0 .. 1, low [N, 1, h, w] in px -> [N, 1, H, W] in px."""
        x = (low - self.mean) / self.spread
        return self.upsampler(self.stem(2 * image - 1), x) * self.spread + self.mean


def make_stem() -> nn.Sequential:
    """[N, 3, H, W] -> [N, GUIDE, H, W]."""
    first, last = (nn.Conv2d(channels, GUIDE, 3, padding=1, padding_mode="replicate") for channels in (3, GUIDE))
    return nn.Sequential(first, nn.ReLU(), last)
