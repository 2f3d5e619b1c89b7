"""DySample (ICCV 2023, arXiv 2308.15085): every high-res pixel samples the low-res map where a learned offset says."""

import torch
from torch import Tensor, nn

from upwell import ops
from upwell.nn.check import check, check_choice, check_divides, check_map, check_whole
from upwell.nn.pixel_shuffle import pixel_shuffle

STYLES = ("lp", "pl")


class DySample(nn.Module):
    """The module of tiny-smart/dysample: same constructor, initial values and state_dict.

    Positions are float32 (float64 for float64) whatever the dtype: published, they have 16 bits in a model of 16, and beyond
    128 pixels lie between cells that they should not.

    Args:
        in_channels: C of the features.
        scale: integer ratio r.
        style: what makes offsets: "lp" a 1x1 convolution of x, whose channels become the pixels of a cell; "pl" a 1x1
            convolution of the pixels that x's channels become, which r^2 has to divide.
        groups: of channels, each with offsets of its own.
        dyscope: how far offsets reach is learned: half a sigmoid of a 1x1 convolution instead of a quarter.
    """

    def __init__(self, in_channels: int, scale: int = 2, style: str = "lp", groups: int = 4, dyscope: bool = False):
        super().__init__()
        for name, value in (("in_channels", in_channels), ("scale", scale), ("groups", groups)):
            check_whole("DySample", name, value, 1)
        check_choice("DySample", "style", style, STYLES)
        check_divides("DySample", "groups", groups, "in_channels", in_channels)
        scale = int(scale)
        pixels = scale**2
        check(
            style == "lp" or in_channels % pixels == 0,
            f"DySample: in_channels should be a multiple of {pixels} for style 'pl' but is {in_channels}",
        )
        self.in_channels = in_channels
        self.scale = self.scale_factor = scale
        self.style = style
        self.groups = groups
        channels = (in_channels, 2 * groups * pixels) if style == "lp" else (in_channels // pixels, 2 * groups)
        self.offset = nn.Conv2d(*channels, 1)
        nn.init.normal_(self.offset.weight, std=0.001)
        nn.init.zeros_(self.offset.bias)
        self.scope = None
        if dyscope:
            self.scope = nn.Conv2d(*channels, 1, bias=False)
            nn.init.zeros_(self.scope.weight)
        self.register_buffer("init_pos", self._sub_pixels())

    def forward(self, x: Tensor) -> Tensor:
        """x [N, in_channels, h, w] -> [N, in_channels, r h, r w]."""
        check_map(self, "x", x, self.in_channels)
        is_high = self.style == "pl"
        source = pixel_shuffle(x, self.scale) if is_high else x
        offsets, reach = self.offset(source), 0.25
        if self.scope is not None:
            offsets, reach = offsets * self.scope(source).sigmoid(), 0.5
        offsets = offsets.to(torch.promote_types(offsets.dtype, torch.float32))
        if is_high:
            offsets = self._add_to_pixels(offsets, reach)
        else:
            offsets = torch.add(self.init_pos, offsets, alpha=reach)
        return ops.sample_at_offsets(x, offsets, self.scale, self.groups, is_high)

    def extra_repr(self) -> str:
        return f"{self.in_channels}, scale={self.scale}, style={self.style!r}, groups={self.groups}"

    def _sub_pixels(self) -> Tensor:
        """Where the pixels of a cell lie, from its centre: along x, then along y, for every group."""
        r = self.scale
        places = (torch.arange(r) - (r - 1) / 2) / r
        along_y, along_x = torch.meshgrid(places, places, indexing="ij")
        both = torch.stack([along_x, along_y]).unsqueeze(1)
        return both.repeat(1, self.groups, 1, 1).reshape(1, -1, 1, 1)  # DDP writes to buffers: no element twice

    def _add_to_pixels(self, offsets: Tensor, reach: float) -> Tensor:
        N, channels, H, W = offsets.shape
        r = self.scale
        cells = offsets.reshape(N, channels, H // r, r, W // r, r)
        places = self.init_pos.reshape(1, channels, 1, r, 1, r)
        return torch.add(places, cells, alpha=reach).reshape(N, channels, H, W)
