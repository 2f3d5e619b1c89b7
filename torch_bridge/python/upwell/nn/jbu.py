"""The joint bilateral upsampler of FeatUp (ICLR 2024, arXiv 2403.10516): a bicubic upsampling, filtered by weights that an
image makes."""

import torch
from torch import Tensor, nn

from upwell import ops
from upwell.nn.check import check_channels, check_map, check_same_batch, check_whole
from upwell.nn.encoder import pool


class JBULearnedRange(nn.Module):
    """The module of mhamilton723/FeatUp: same constructor, initial values and state_dict.

    Args:
        guidance_dim: channels of the guidance.
        feat_dim: channels of the features.
        key_dim: channels that the guidance is compared in.
        scale: as published it does nothing: the output has the guidance's size.
        radius: of the window, in pixels of the guidance; beyond it the maps go on in mirrors, and, other than published, they
            may be smaller than the radius.
    """

    def __init__(self, guidance_dim: int, feat_dim: int, key_dim: int, scale: int = 2, radius: int = 3):
        super().__init__()
        for name, value, least in (
            ("guidance_dim", guidance_dim, 1),
            ("feat_dim", feat_dim, 1),
            ("key_dim", key_dim, 1),
            ("radius", radius, 0),
        ):
            check_whole("JBULearnedRange", name, value, least)
        self.guidance_dim = guidance_dim
        self.feat_dim = feat_dim
        self.key_dim = key_dim
        self.scale = scale
        self.radius = radius
        self.diameter = 2 * radius + 1
        taps = self.diameter**2
        self.range_temp = nn.Parameter(torch.tensor(0.0))
        self.range_proj = _two_layers(guidance_dim, key_dim)
        self.fixup_proj = _two_layers(guidance_dim + taps, taps)
        self.sigma_spatial = nn.Parameter(torch.tensor(1.0))

    def forward(self, source: Tensor, guidance: Tensor) -> Tensor:
        """source [N, feat_dim, h, w], guidance [N, guidance_dim, H, W] -> [N, feat_dim, H, W]. ValueError if not."""
        check_map(self, "source", source, self.feat_dim)
        check_map(self, "guidance", guidance, self.guidance_dim)
        check_same_batch("JBULearnedRange", "source", source, "guidance", guidance)
        projection = self.range_proj(guidance)
        temperature = self.range_temp.exp().clamp(1e-4, 1e4)
        weights = ops.range_weights(temperature * projection, projection, self._spatial(), self.diameter)
        weights = torch.add(weights, self.fixup_proj(torch.cat([weights, guidance.to(weights.dtype)], 1)), alpha=0.1)
        return ops.adaptive_conv(ops.bicubic(source, guidance.shape[2:]), weights, self.diameter)

    def extra_repr(self) -> str:
        return f"{self.guidance_dim}, {self.feat_dim}, {self.key_dim}, scale={self.scale}, radius={self.radius}"

    def _spatial(self) -> Tensor:
        """A Gaussian of the distance in radii, of each tap."""
        sigma = self.sigma_spatial
        squares = torch.linspace(-1, 1, self.diameter, dtype=sigma.dtype, device=sigma.device).square()
        return torch.exp(-(squares[:, None] + squares) / (2 * sigma**2)).flatten()


class JBUStack(nn.Module):
    """The module of mhamilton723/FeatUp: same constructor, initial values and state_dict. Four times a ratio of 2, each with
    the guidance averaged to its size.

    Args:
        feat_dim: channels of the features.
    """

    scale_factor = 16

    def __init__(self, feat_dim: int):
        super().__init__()
        check_channels("JBUStack", feat_dim=feat_dim)
        self.up1, self.up2, self.up3, self.up4 = (JBULearnedRange(3, feat_dim, 32) for _ in range(4))
        self.feat_dim = feat_dim
        self.fixup_proj = nn.Sequential(nn.Dropout2d(0.2), nn.Conv2d(feat_dim, feat_dim, 1))

    def forward(self, source: Tensor, guidance: Tensor) -> Tensor:
        """source [N, feat_dim, h, w], guidance [N, 3, H, W] of any size -> [N, feat_dim, 16 h, 16 w]. ValueError if not."""
        check_map(self, "source", source, self.feat_dim)
        check_map(self, "guidance", guidance, 3)
        check_same_batch("JBUStack", "source", source, "guidance", guidance)
        for up in (self.up1, self.up2, self.up3, self.up4):
            h, w = source.shape[2:]
            source = up(source, pool(guidance, (2 * h, 2 * w)))
        return torch.add(source, self.fixup_proj(source), alpha=0.1)


def _two_layers(in_channels: int, out_channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 1),
        nn.GELU(),
        nn.Dropout2d(0.1),
        nn.Conv2d(out_channels, out_channels, 1),
    )
