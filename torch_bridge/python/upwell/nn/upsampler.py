"""What the table of upsamplers (`make.py`) says of each."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from numbers import Real

from torch import nn

from upwell.explained import called
from upwell.nn.check import check


@dataclass(frozen=True)
class Paper:
    title: str
    year: int
    arxiv: str | None = None


class Guide(Enum):
    """What an upsampler is made to look at; the value is what `upwell list` prints. Its channels are free in either case."""

    NONE = "no"  # it takes its size from the guide, and nothing else
    FEATURES = "features"  # a high-res map of an encoder
    IMAGE = "image"  # the image itself


class Ratios(Enum):
    """The scale factors an upsampler takes; the value is what `upwell list` prints."""

    WHOLE = "whole"
    WHOLE_OR_FREE = "whole, None: any"  # None: the guide may have any size
    REAL = "any > 0"
    FREE = "any"  # the guide's size is what counts; None says so

    def check(self, name: str, value: object) -> None:
        """ValueError unless the upsampler called name takes value."""
        is_real = isinstance(value, Real) and 0 < value < math.inf
        is_whole = is_real and value % 1 == 0
        takes, text = {
            Ratios.WHOLE: (is_whole, "an integer >= 1"),
            Ratios.WHOLE_OR_FREE: (is_whole or value is None, "an integer >= 1 or None"),
            Ratios.REAL: (is_real, "positive and finite"),
            Ratios.FREE: (is_real or value is None, "positive and finite or None"),
        }[self]
        check(takes, f"make: scale_factor of {name} should be {text} but is {called(value)}")


@dataclass(frozen=True)
class Upsampler:
    """A row of the table.

    name: for make(), and for every command that takes an upsampler.
    title: for people.
    paper: None: older than any.
    build: in_channels, guide_channels, scale_factor, **options of the module's constructor -> the module, which is called
        forward(guide, x).
    cells: the least height and width of x.
    """

    name: str
    title: str
    paper: Paper | None
    build: Callable[..., nn.Module]
    guide: Guide = Guide.NONE
    ratios: Ratios = Ratios.WHOLE
    cells: int = 1

    @property
    def is_guided(self) -> bool:
        return self.guide is not Guide.NONE
