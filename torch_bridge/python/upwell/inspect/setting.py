"""Where ReSFU stands in a network: the sizes that its cost depends on."""

from dataclasses import dataclass, fields

import torch

from upwell.compiled import KERNELS, check_kernel
from upwell.nn.check import check, check_divides
from upwell.nn.pcdc import LAYOUTS
from upwell.nn.resfu import ReSFU


@dataclass(frozen=True)
class Setting:
    """One picture, image_size x image_size; the defaults are the paper's Segmenter ViT-S.

    x is [1, dim_x, low, low] with low = image_size / feature_stride, y [1, dim_y, high, high] and the output
    [1, dim_x, high, high] with high = ratio low. The rest are options of upwell.nn.ReSFU.
    """

    dim_y: int = 32
    dim_x: int = 384
    embedding_dim: int = 32
    groups: int = 4
    kernel: int = 3
    ratio: int = 4
    layout: str = "published"
    gf_scale: int = 2
    radius: int = 8
    image_size: int = 512
    feature_stride: int = 16

    def __post_init__(self):
        for field in fields(self):
            value = getattr(self, field.name)
            least = 0 if field.name == "radius" else 1
            possible = isinstance(value, str) or value >= least
            check(possible, f"inspect: {field.name} should be at least {least} but is {value}")
        check_kernel("inspect", "kernel", self.kernel, KERNELS["fns"])
        check_divides("inspect", "feature_stride", self.feature_stride, "image_size", self.image_size)
        check_divides("inspect", "groups", self.groups, "embedding_dim", self.embedding_dim)

    @property
    def low(self) -> int:
        return self.image_size // self.feature_stride

    @property
    def high(self) -> int:
        return self.ratio * self.low

    @property
    def low_pixels(self) -> int:
        return self.low**2

    @property
    def pixels(self) -> int:
        return self.high**2

    @property
    def filter_pixels(self) -> int:
        """Those on which the guided filter is fitted."""
        return max(self.high // self.gf_scale, 1) ** 2

    @property
    def output_elements(self) -> int:
        return self.dim_x * self.pixels

    @property
    def taps(self) -> int:
        return self.kernel**2

    @property
    def query_elements(self) -> int:
        """Of a map of D channels at high resolution."""
        return self.embedding_dim * self.pixels

    @property
    def difference_channels(self) -> int:
        """L."""
        return LAYOUTS[self.layout]

    @property
    def group_channels(self) -> int:
        """Channels of queries and keys in a group of the PCDC convolutions."""
        return self.embedding_dim // self.groups

    def module(self) -> ReSFU:
        """The module itself, without memory for its parameters."""
        with torch.device("meta"):
            return ReSFU(
                self.dim_y,
                self.dim_x,
                groups=self.groups,
                kernel_size=self.kernel,
                scale_factor=self.ratio,
                embedding_dim=self.embedding_dim,
                radius=self.radius,
                gf_scale=self.gf_scale,
                layout=self.layout,
            )

    @property
    def parameters(self) -> int:
        return sum(parameter.numel() for parameter in self.module().parameters())
