"""The guided filter (He et al., arXiv 1505.00996), per channel, and with a colour guide."""

import torch
from torch import Tensor, nn

from upwell import ops
from upwell.nn.check import check, check_channels


def check_options(name: str, radius: int, scale: int, border: str) -> None:
    check(radius >= 0, f"{name}: radius should be at least 0 but is {radius}")
    check(scale >= 1, f"{name}: scale should be at least 1 but is {scale}")
    check(
        border in ("inside", "reflect", "symmetric"),
        f"{name}: border should be 'inside', 'reflect' or 'symmetric' but is {border!r}",
    )


class GuidedFilter(nn.Module):
    """input, filtered to follow the edges of guide: guide * a + b with a, b smooth and fitted to input.

    Args:
        radius: of the box, in full-size pixels; any, also beyond the image.
        eps: what a variance of the guide has to exceed to count as an edge.
        channels: D.
        scale: a and b are fitted on every scale-th pixel.
        centred: put a and b back where their pixels came from. Published (False): as if each had been the
            centre of a scale x scale block, which shifts them by (scale - 1)/2 pixels.
        border: "inside" (published), "reflect" or "symmetric", as of `upwell.ops.guided_filter`.
    """

    def __init__(
        self,
        radius: int,
        eps: float,
        channels: int,
        scale: int = 1,
        centred: bool = False,
        border: str = "inside",
    ):
        super().__init__()
        check_options("GuidedFilter", radius, scale, border)
        check_channels("GuidedFilter", channels=channels)
        self.radius = radius
        self.eps = eps
        self.scale = scale
        self.centred = centred
        self.border = border
        # Part of the published state_dict; the box means do not need it.
        self.register_buffer("kernel", torch.ones(channels, 1, 1, 2 * (radius // scale) + 1))

    def _apply(self, *arguments, **options) -> nn.Module:
        """What moves and converts a module. Kernels in one column of channels_last have strides that
        DistributedDataParallel cannot broadcast (torch 2.11); these are read by nobody and stay contiguous."""
        super()._apply(*arguments, **options)
        self.kernel = self.kernel.flatten().view(self.kernel.shape)
        return self

    def forward(self, guide: Tensor, input: Tensor) -> Tensor:
        """guide [N, D, H, W], input [N, D, h, w], interpolated to H, W -> [N, D, H, W]."""
        return ops.guided_filter(guide, input, self.radius, self.eps, self.scale, self.centred, self.border)


class ColourGuidedFilter(nn.Module):
    """input, filtered to follow the edges of a colour image: guide . a + b with a, b smooth and fitted to each channel of
    input (He et al., Guided Image Filtering, TPAMI 2013).

    Args:
        radius, scale, centred, border: as of `GuidedFilter`.
        eps: positive; what a variance of the guide, along any direction of colour, has to exceed to count as an edge.
    """

    def __init__(self, radius: int, eps: float, scale: int = 1, centred: bool = False, border: str = "inside"):
        super().__init__()
        check_options("ColourGuidedFilter", radius, scale, border)
        check(eps > 0, f"ColourGuidedFilter: eps should be positive but is {eps}")
        self.radius = radius
        self.eps = eps
        self.scale = scale
        self.centred = centred
        self.border = border

    def forward(self, guide: Tensor, input: Tensor) -> Tensor:
        """guide [N, 3, H, W], input [N, C, h, w], interpolated to H, W -> [N, C, H, W]."""
        return ops.colour_guided_filter(
            guide, input, self.radius, self.eps, self.scale, self.centred, self.border
        )
