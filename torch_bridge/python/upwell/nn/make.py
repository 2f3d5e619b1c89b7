"""One way to build and call every upsampler, so that a model can swap them by name."""

from torch import Tensor, nn

from upwell.nn.carafe import CARAFE
from upwell.nn.check import check_choice, check_multiple, check_rank
from upwell.nn.deconv import Deconv
from upwell.nn.dysample import DySample
from upwell.nn.fade import FADE
from upwell.nn.index_net import IndexNet
from upwell.nn.interpolate import Bilinear, Nearest
from upwell.nn.lctc import LCTC
from upwell.nn.pixel_shuffle import PixelShuffle
from upwell.nn.resfu import ReSFU
from upwell.nn.sapa import SAPA
from upwell.nn.wrc import WRC


class SizedByGuide(nn.Module):
    """An interpolation that takes nothing from the guide but its size; positions follow the true ratio of sizes."""

    def __init__(self, upsampler: nn.Module):
        super().__init__()
        self.upsampler = upsampler

    def forward(self, guide: Tensor, x: Tensor) -> Tensor:
        """guide [N, Cy, H, W], x [N, C, h, w] -> [N, C, H, W]."""
        return self.upsampler(x, guide.shape[2:])


class Unguided(nn.Module):
    """An upsampler without a guide; its output is scale_factor times x, and so has to be the guide."""

    def __init__(self, upsampler: nn.Module):
        super().__init__()
        self.upsampler = upsampler
        self.scale_factor = upsampler.scale_factor  # an adapter around the upsampler later on may not have it

    def forward(self, guide: Tensor, x: Tensor) -> Tensor:
        """guide [N, Cy, r h, r w], x [N, C, h, w] -> [N, C, r h, r w]."""
        name = type(self.upsampler).__name__
        check_rank(name, "x", x)
        check_multiple(name, "guide", guide, x, self.scale_factor)
        return self.upsampler(x)


def _dysample(C: int, _: int, scale: float, **options) -> nn.Module:
    """With the 4 groups that are published, or as many of them as divide the channels."""
    groups = next(groups for groups in (4, 3, 2, 1) if C % groups == 0)
    return Unguided(DySample(C, scale, **{"groups": groups, **options}))


# Of in_channels, guide_channels, scale_factor and the options of a constructor.
_MAKERS = {
    "resfu": lambda C, guide, scale, **options: ReSFU(guide, C, scale_factor=scale, **options),
    "carafe": lambda C, _, scale, **options: Unguided(CARAFE(C, scale, **options)),
    "lctc": lambda C, _, scale, **options: Unguided(LCTC(C, C, stride=scale, **options)),
    "wrc": lambda C, _, scale, **options: Unguided(WRC(C, C, **{"kernel_size": 3, "scale": scale, **options})),
    "dysample": _dysample,
    "sapa": lambda C, guide, scale, **options: SAPA(guide, C, scale, **options),
    "fade": lambda C, guide, scale, **options: FADE(guide, C, scale, **options),
    "indexnet": IndexNet,
    "pixelshuffle": lambda C, _, scale, **options: Unguided(PixelShuffle(C, scale, **options)),
    "deconv": lambda C, _, scale, **options: Unguided(Deconv(C, stride=scale, **options)),
    "bilinear": lambda C, guide, scale, **options: SizedByGuide(Bilinear(scale, **options)),
    "nearest": lambda C, guide, scale, **options: SizedByGuide(Nearest(scale, **options)),
}
NAMES = tuple(_MAKERS)


def make(name: str, in_channels: int, guide_channels: int, scale_factor: float, **options) -> nn.Module:
    """The upsampler called name, with forward(guide, x).

    guide is [N, guide_channels, H, W], x is [N, in_channels, h, w], the output [N, in_channels, H, W].

    Args:
        name: "resfu", "sapa", "fade" or "indexnet", which look at the guide; "carafe", "lctc", "wrc", "dysample",
            "pixelshuffle" or "deconv", which take nothing from it but its size, and that has to be scale_factor times x's; "bilinear" or
            "nearest", of the guide's size whatever it is.
        in_channels, guide_channels: of x and of the guide.
        scale_factor: H/h and W/w.
        options: of the module's constructor.

    Raises:
        ValueError: of an unknown name.
    """
    check_choice("make", "name", name, NAMES)
    return _MAKERS[name](in_channels, guide_channels, scale_factor, **options)
