"""One model for every upsampler: low-res disparity in, the picture as guide, high-res disparity out."""

from collections.abc import Callable

from torch import Tensor, nn

import upwell
from disparity_demo.scene import Part
from upwell.nn.make import UPSAMPLERS
from upwell.nn.upsampler import Guide

# Every upsampler that there is, and WRC with its other solver.
TITLES = {name: upsampler.title for name, upsampler in UPSAMPLERS.items()} | {"wrc_exact": "WRC, exact"}
NAMES = ("bilinear", "nearest", "carafe", "lctc", "wrc", "wrc_exact", "resfu")  # what is compared where nothing is said
MODULES = {"wrc_exact": "wrc"}  # where the name is not the module's
GUIDE = 16  # channels of the guidance that a stem makes of the picture
PROJECTION_SPREAD = 0.1  # initial, of query and key projections
IMAGE = 3  # channels of the picture
# The published border of CARAFE, SAPA and FADE would let the disparity fade to nothing at the picture's edge.
# WRC takes samples to lie at the first pixel of a cell, here they lie at its centre: the kernel has to reach there.
# The inputs are normalised already, by one rule for crops and whole pictures; so ReSFU and SAPA need not do it per input.
# AnyUp, NAF and JAFAR are made for vision transformers' features of hundreds of channels; here they get along with fewer.
WRC = {"kernel_size": 9, "padding_mode": "replicate"}
OPTIONS = {
    "carafe": {"border": "mask"},
    "lctc": {"kernel_size": 25, "small_kernel": 9},
    "wrc": WRC,
    "wrc_exact": WRC | {"solver": "exact"},
    "resfu": {"embedding_dim": 16, "layout": "paper", "normx": False, "normy": False},
    "sapa": {"embedding_dim": 16, "norm": False, "border": "mask"},
    "sapa_exp": {"embedding_dim": 16, "norm": nn.Identity, "border": "mask"},
    "fade": {"border": "mask"},
    "anyup": {"qk_dim": 16},
    "naf": {"dim": 32},
    "jafar": {"qk_dim": 16},
}


class DisparityUpsampler(nn.Module):
    """Upsamples the low-res disparity itself. Every output of bilinear, nearest, CARAFE, ReSFU, SAPA, AnyUp, NAF and JAFAR
    is a weighted mean of input disparities.

    For those that are guided by feature maps, two convolutions, trained along, turn the picture into one. Those that are
    guided by an image take the picture. The others do not look at it.

    The disparity is normalised by the training part's mean and spread. Weights that sum to 1 commute with that, so it
    only brings the inputs of the learned weights to a usual size.
    """

    def __init__(self, name: str, train: Part, make: Callable[..., nn.Module] = upwell.nn.make):
        super().__init__()
        self.register_buffer("mean", train.low.mean())
        self.register_buffer("spread", train.low.std())
        module = MODULES.get(name, name)
        by_features = UPSAMPLERS[module].guide is Guide.FEATURES
        self.stem = make_stem() if by_features else nn.Identity()
        options = OPTIONS.get(name, {})
        self.upsampler = make(module, 1, GUIDE if by_features else IMAGE, train.ratio, **options)
        if name in ("resfu", "sapa", "sapa_exp"):
            # The published 0.02 suits many channels; of so few it would leave queries nearly constant.
            for projection in (self.upsampler.q, self.upsampler.k):
                nn.init.normal_(projection.weight, std=PROJECTION_SPREAD)

    def forward(self, image: Tensor, low: Tensor) -> Tensor:
        """image [N, 3, H, W] in 0 .. 1, low [N, 1, h, w] in px -> [N, 1, H, W] in px."""
        x = (low - self.mean) / self.spread
        return self.upsampler(self.stem(2 * image - 1), x) * self.spread + self.mean


def make_stem() -> nn.Sequential:
    """[N, 3, H, W] -> [N, GUIDE, H, W]."""
    first, last = (nn.Conv2d(channels, GUIDE, 3, padding=1, padding_mode="replicate") for channels in (IMAGE, GUIDE))
    return nn.Sequential(first, nn.ReLU(), last)
