"""One way to build and call every upsampler, so that a model can swap them by name."""

import inspect

from torch import Tensor, nn

from upwell.nn.anyup import AnyUp
from upwell.nn.carafe import CARAFE
from upwell.nn.check import check_choice, check_gives_size, check_multiple, check_rank, check_whole
from upwell.nn.deconv import Deconv
from upwell.nn.dysample import DySample
from upwell.nn.fade import FADE
from upwell.nn.index_net import IndexNet
from upwell.nn.interpolate import Bilinear, Nearest
from upwell.nn.jafar import JAFAR
from upwell.nn.jbu import JBULearnedRange
from upwell.nn.lctc import LCTC
from upwell.nn.local_attender import LocalAttender
from upwell.nn.naf import NAF
from upwell.nn.pixel_shuffle import PixelShuffle
from upwell.nn.resfu import ReSFU
from upwell.nn.sapa import SAPA, SAPAExp
from upwell.nn.upsampler import Guide, Paper, Ratios, Upsampler
from upwell.nn.wrc import WRC


class SizedByGuide(nn.Module):
    """An interpolation that takes nothing from the guide but its size; positions follow the true ratio of sizes."""

    def __init__(self, upsampler: nn.Module):
        super().__init__()
        self.upsampler = upsampler

    def forward(self, guide: Tensor, x: Tensor) -> Tensor:
        """guide [N, Cy, H, W], x [N, C, h, w] -> [N, C, H, W]."""
        check_gives_size(type(self.upsampler).__name__, "guide", guide)
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


class GuidedSecond(nn.Module):
    """An upsampler whose call has the guide behind x; the output has the guide's size."""

    def __init__(self, upsampler: nn.Module):
        super().__init__()
        self.upsampler = upsampler

    def forward(self, guide: Tensor, x: Tensor) -> Tensor:
        """guide [N, Cy, H, W], x [N, C, h, w] -> [N, C, H, W]."""
        return self.upsampler(x, guide)


def _jbu(C: int, guide: int, _: float, key_dim: int = 32, **options) -> nn.Module:
    return GuidedSecond(JBULearnedRange(guide, C, key_dim, **options))


def _largest(C: int, *choices: int) -> int:
    """The first of choices that divides the channels."""
    return next(choice for choice in choices if C % choice == 0)


def _dysample(C: int, _: int, r: float, **options) -> nn.Module:
    """With the 4 groups that are published, or as many of them as divide the channels."""
    return Unguided(DySample(C, r, **{"groups": _largest(C, 4, 3, 2, 1), **options}))


def _naf(C: int, guide: int, _: float, **options) -> nn.Module:
    """With the 4 heads that are published, or as many of them as divide the channels (and dim)."""
    return NAF(**{"heads_attn": _largest(C, 4, 2, 1), "input_dim": guide, **options})


SAPA_PAPER = Paper("SAPA: Similarity-Aware Point Affiliation for Feature Upsampling", 2022, "2209.12866")

# One row each: all that make() builds. Commands, demo and tests take their names from here.
UPSAMPLERS = {
    row.name: row
    for row in (
        Upsampler(
            "resfu",
            "ReSFU",
            Paper("A Refreshed Similarity-based Upsampler for Direct High-Ratio Feature Upsampling", 2024, "2407.02283"),
            lambda C, guide, r, **options: ReSFU(guide, C, scale_factor=r, **options),
            Guide.FEATURES,
            Ratios.FREE,
        ),
        Upsampler(
            "carafe",
            "CARAFE",
            Paper("CARAFE: Content-Aware ReAssembly of FEatures", 2019, "1905.02188"),
            lambda C, _, r, **options: Unguided(CARAFE(C, r, **options)),
        ),
        Upsampler(
            "lctc",
            "LCTC",
            Paper(
                "Improving Feature Stability during Upsampling - Spectral Artifacts and the Importance of Spatial Context",
                2023,
                "2311.17524",
            ),
            lambda C, _, r, **options: Unguided(LCTC(C, C, stride=r, **options)),
        ),
        Upsampler(
            "wrc",
            "WRC",
            Paper("Weighted Reverse Convolution for Feature Upsampling", 2026, "2605.17472"),
            lambda C, _, r, **options: Unguided(WRC(C, C, **{"kernel_size": 3, "scale": r, **options})),
        ),
        Upsampler(
            "dysample",
            "DySample",
            Paper("Learning to Upsample by Learning to Sample", 2023, "2308.15085"),
            _dysample,
        ),
        Upsampler(
            "sapa",
            "SAPA",
            SAPA_PAPER,
            lambda C, guide, r, **options: SAPA(guide, C, r, **options),
            Guide.FEATURES,
            Ratios.WHOLE_OR_FREE,
        ),
        Upsampler(
            "sapa_exp",
            "SAPA, the paper's",
            SAPA_PAPER,
            lambda C, guide, r, **options: SAPAExp(guide, C, **{"up_factor": r, **options}),
            Guide.FEATURES,
            Ratios.WHOLE_OR_FREE,
        ),
        Upsampler(
            "fade",
            "FADE",
            Paper("FADE: Fusing the Assets of Decoder and Encoder for Task-Agnostic Upsampling", 2022, "2207.10392"),
            lambda C, guide, r, **options: FADE(guide, C, r, **options),
            Guide.FEATURES,
            Ratios.WHOLE_OR_FREE,
        ),
        Upsampler(
            "indexnet",
            "IndexNet",
            Paper("Indices Matter: Learning to Index for Deep Image Matting", 2019, "1908.00672"),
            IndexNet,
            Guide.FEATURES,
        ),
        Upsampler(
            "pixelshuffle",
            "PixelShuffle",
            Paper(
                "Real-Time Single Image and Video Super-Resolution Using an Efficient Sub-Pixel Convolutional Neural Network",
                2016,
                "1609.05158",
            ),
            lambda C, _, r, **options: Unguided(PixelShuffle(C, r, **options)),
        ),
        Upsampler("deconv", "Deconvolution", None, lambda C, _, r, **options: Unguided(Deconv(C, stride=r, **options))),
        Upsampler(
            "anyup",
            "AnyUp",
            Paper("AnyUp: Universal Feature Upsampling", 2025, "2510.12764"),
            lambda _, guide, __, **options: AnyUp(guide, **options),
            Guide.IMAGE,
            Ratios.FREE,
            cells=2,
        ),
        Upsampler(
            "naf",
            "NAF",
            Paper("NAF: Zero-Shot Feature Upsampling via Neighborhood Attention Filtering", 2025, "2511.18452"),
            _naf,
            Guide.IMAGE,
            Ratios.FREE,
        ),
        Upsampler(
            "jafar",
            "JAFAR",
            Paper("JAFAR: Jack up Any Feature at Any Resolution", 2025, "2506.11136"),
            lambda C, guide, _, **options: JAFAR(guide, v_dim=C, **options),
            Guide.IMAGE,
            Ratios.FREE,
        ),
        Upsampler(
            "jbu",
            "JBU",
            Paper("FeatUp: A Model-Agnostic Framework for Features at Any Resolution", 2024, "2403.10516"),
            _jbu,
            Guide.FEATURES,
            Ratios.FREE,
        ),
        Upsampler(
            "local_attender",
            "Local attender",
            Paper("UPLiFT: Efficient Pixel-Dense Feature Upsampling with Local Attenders", 2026, "2601.17950"),
            lambda C, guide, _, **options: LocalAttender(guide, **options),
            Guide.FEATURES,
        ),
        Upsampler(
            "bilinear",
            "Bilinear",
            None,
            lambda C, guide, r, **options: SizedByGuide(Bilinear(r, **options)),
            ratios=Ratios.REAL,
        ),
        Upsampler(
            "nearest",
            "Nearest",
            None,
            lambda C, guide, r, **options: SizedByGuide(Nearest(r, **options)),
            ratios=Ratios.REAL,
        ),
    )
}
NAMES = tuple(UPSAMPLERS)


def make(name: str, in_channels: int, guide_channels: int, scale_factor: float | None, **options) -> nn.Module:
    """The upsampler called name, with forward(guide, x).

    guide is [N, guide_channels, H, W], x is [N, in_channels, h, w], the output [N, in_channels, H, W].

    Args:
        name: "resfu", "sapa", "sapa_exp", "fade", "indexnet", "jbu" or "local_attender", which look at the guide; "anyup",
            "naf" or "jafar", whose guide is meant to be the image itself; "carafe", "lctc", "wrc", "dysample", "pixelshuffle" or "deconv", which
            take nothing from it but its size; "bilinear" or "nearest", which do not either.
        in_channels, guide_channels: of x and of the guide.
        scale_factor: H/h and W/w. "resfu", "anyup", "naf", "jafar" and "jbu" take any ratio and None, "bilinear" and "nearest"
            any ratio: the guide may have any size. The others take integers, and the guide has to be so many times x; with
            None, where they take it ("sapa", "sapa_exp", "fade"), it may have any size.
        options: of the module's constructor.

    Raises:
        ValueError: of an unknown name, and of channels or a scale factor that the upsampler does not take.
        TypeError: of an option that its module does not have.
    """
    check_choice("make", "name", name, NAMES)
    upsampler = UPSAMPLERS[name]
    check_whole("make", "in_channels", in_channels, 1)
    if upsampler.is_guided:
        check_whole("make", "guide_channels", guide_channels, 1)
    upsampler.ratios.check(name, scale_factor)
    try:
        return upsampler.build(in_channels, guide_channels, scale_factor, **options)
    except TypeError:
        usual = upsampler.build(in_channels, guide_channels, scale_factor)
        known = inspect.signature(type(getattr(usual, "upsampler", usual))).parameters
        if unknown := [option for option in options if option not in known]:
            raise TypeError(f"make: {name} has no option {unknown[0]}; its module has {', '.join(known)}") from None
        raise
