"""One way to build and call every upsampler, so that a model can swap them by name."""

from torch import Tensor, nn

from upwell.nn.carafe import CARAFE
from upwell.nn.check import check, check_rank
from upwell.nn.interpolate import Bilinear, Nearest
from upwell.nn.lctc import LCTC
from upwell.nn.resfu import ReSFU
from upwell.nn.wrc import WRC

NAMES = ("resfu", "carafe", "lctc", "wrc", "bilinear", "nearest")


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
        H, W = (length * self.scale_factor for length in x.shape[2:])
        check(
            list(guide.shape[2:]) == [H, W],
            f"{name}: guide should be [N, C, {H}, {W}] but is {list(guide.shape)}",
        )
        return self.upsampler(x)


def make(name: str, in_channels: int, guide_channels: int, scale_factor: float, **options) -> nn.Module:
    """The upsampler called name ("resfu", "carafe", "lctc", "wrc", "bilinear", "nearest"), with forward(guide, x).

    guide is [N, guide_channels, H, W], x is [N, in_channels, h, w], the output [N, in_channels, H, W].
    options go to the module's constructor. An unknown name raises ValueError.
    """
    check(name in NAMES, f"make: name should be one of {', '.join(NAMES)} but is {name!r}")
    if name == "resfu":
        return ReSFU(guide_channels, in_channels, scale_factor=scale_factor, **options)
    if name == "carafe":
        return Unguided(CARAFE(in_channels, scale_factor, **options))
    if name == "lctc":
        return Unguided(LCTC(in_channels, in_channels, stride=scale_factor, **options))
    if name == "wrc":
        return Unguided(WRC(in_channels, in_channels, **{"kernel_size": 3, "scale": scale_factor, **options}))
    return SizedByGuide({"bilinear": Bilinear, "nearest": Nearest}[name](scale_factor, **options))
