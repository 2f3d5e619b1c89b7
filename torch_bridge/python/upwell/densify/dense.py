"""Any upsampler of `upwell.nn.make` between an image and its features: the guide is made of the image."""

from torch import Tensor, nn

from upwell import ops
from upwell.densify.guide import Guide
from upwell.nn.check import check, check_choice, check_map, check_same_batch, check_whole
from upwell.nn.make import NAMES as OF_MAKE
from upwell.nn.make import UPSAMPLERS
from upwell.nn.make import make as make_upsampler
from upwell.nn.upsampler import Guide as Kind
from upwell.nn.wrc_densify import WRCDensify

BICUBIC, WRC_HEAD = "bicubic", "wrc_head"
NAMES = (*OF_MAKE, BICUBIC, WRC_HEAD)
KINDS = {BICUBIC: Kind.NONE, WRC_HEAD: Kind.IMAGE, **{name: row.guide for name, row in UPSAMPLERS.items()}}
# Published as steps of 2, each with parameters of its own: one step beyond that would be another upsampler.
IN_STEPS_OF_TWO = ("jbu", "indexnet", WRC_HEAD)
# Convolutions of the guide say how much of each cell around a pixel it gets: only the guide can tell them where the pixel lies.
BLIND = ("fade", "local_attender")


def least_cells(name: str) -> int:
    """The least height and width of its features."""
    return UPSAMPLERS[name].cells if name in UPSAMPLERS else 1


class Bicubic(nn.Module):
    """Bicubic interpolation to the guide's size."""

    def forward(self, guide: Tensor, x: Tensor) -> Tensor:
        return ops.bicubic(x, guide.shape[2:])


class Step(nn.Module):
    """One upsampler with its guide."""

    def __init__(self, upsampler: str, channels: int, ratio: int, options: dict):
        super().__init__()
        self.ratio = ratio
        self.kind = KINDS[upsampler]
        self.guide = Guide(self.kind, upsampler in BLIND)
        if upsampler == BICUBIC:
            self.upsample = Bicubic(**options)
        elif upsampler == WRC_HEAD:
            self.upsample = WRCDensify(channels, **options)
        else:
            self.upsample = make_upsampler(upsampler, channels, self.guide.channels, ratio, **options)

    def forward(self, image: Tensor, features: Tensor) -> Tensor:
        if isinstance(self.upsample, WRCDensify):  # published with the image as it is
            return self.upsample(self.guide(image, image.shape[2:]), features)
        size = [self.ratio * length for length in features.shape[2:]]
        guide = self.guide(image, size, features.shape[2:])
        if self.kind is Kind.IMAGE:  # encodes and pools by itself
            return self.upsample(guide, features, size)
        return self.upsample(guide, features)


class Dense(nn.Module):
    """Features of a backbone, made dense with the image's help.

    Attributes:
        upsampler: its name.
        channels, ratio: C, and how many pixels of the output a cell has per side.
        is_guided: whether the output depends on the image.
    """

    def __init__(self, upsampler: str, channels: int, ratio: int, options: dict):
        super().__init__()
        self.upsampler = upsampler
        self.channels = channels
        self.ratio = ratio
        in_steps = upsampler in IN_STEPS_OF_TWO
        ratios = [2] * (ratio.bit_length() - 1) if in_steps else [ratio]
        self.steps = nn.ModuleList(Step(upsampler, channels, each, options) for each in ratios)

    @property
    def is_guided(self) -> bool:
        return any(step.kind is not Kind.NONE for step in self.steps)

    def forward(self, image: Tensor, features: Tensor) -> Tensor:
        """image [N, 3, H, W] in 0 to 1, of any size, features [N, C, h, w] -> [N, C, ratio h, ratio w]. ValueError if not."""
        check_map("Dense", "image", image, 3)
        check_map("Dense", "features", features, self.channels)
        check_same_batch("Dense", "image", image, "features", features)
        for step in self.steps:
            features = step(image, features)
        return features


def make(upsampler: str, channels: int, ratio: int, **options) -> Dense:
    """The upsampler called so (NAMES; dashes may stand for or between words: "any-up", "local-attender") for features.

    Args:
        channels: of the features.
        ratio: integer; a power of 2 for those that are published as steps of 2.
        options: of the module's constructor.

    Raises:
        ValueError: of an unknown name, and of channels, a ratio or options that the upsampler does not take.
    """
    name = canonical(upsampler)
    check_whole("make", "channels", channels, 1)
    check_whole("make", "ratio", ratio, 1)
    if name in IN_STEPS_OF_TWO:
        check(ratio & (ratio - 1) == 0, f"make: ratio of {name} should be a power of 2 but is {ratio}")
    return Dense(name, int(channels), int(ratio), options)


def canonical(upsampler: str) -> str:
    """The name as the table has it. ValueError of an unknown one."""
    spellings = (upsampler, upsampler.replace("-", "_"), upsampler.replace("-", ""))
    known = [name for name in spellings if name in NAMES]
    check_choice("make", "upsampler", known[0] if known else upsampler, NAMES)
    return known[0]
