"""AnyUp (arXiv 2510.12764): one upsampler for features of any encoder, cross-attention of an image and low-res features."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from upwell import ops
from upwell.nn.attention import QueriesAndKeys
from upwell.nn.check import (
    check,
    check_any_map,
    check_divides,
    check_map,
    check_odd,
    check_reflects,
    check_same_batch,
    check_size,
    check_whole,
)
from upwell.nn.encoder import GROUPS, ReflectConv2d, pool
from upwell.nn.filter_bank import FilterBank
from upwell.nn.norm import GroupNorm
from upwell.nn.rope import LearnedRoPE

AGGREGATION = 3  # the kernel of the layer that brings keys and features together


class AnyUp(nn.Module):
    """The module of wimmerth/anyup: same constructor, initial values and state_dict.

    Queries are made of the image, keys of the image and the features; every pixel is a mean of the features themselves,
    whose number of channels no parameter depends on.

    Args:
        input_dim: channels of the image.
        qk_dim: D of queries and keys, a multiple of 8 and of num_heads.
        kernel_size: of the first convolution of the image, odd.
        kernel_size_lfu: of the filters that features pass first, odd.
        window_ratio: a pixel sees the cells that touch a square of this many times the map to each side of it; 0 or less,
            or 1 and more: all.
        num_heads: whose weights are averaged.
        init_gaussian_derivatives: start with derivatives of a Gaussian as filters, not with random ones.
        use_natten: should be False. (Published: another window, which this one approximates, with other parameters.)
        lfu_dim: number of these filters, a multiple of 8; qk_dim if None.
    """

    def __init__(
        self,
        input_dim: int = 3,
        qk_dim: int = 128,
        kernel_size: int = 1,
        kernel_size_lfu: int = 5,
        window_ratio: float = 0.1,
        num_heads: int = 4,
        init_gaussian_derivatives: bool = False,
        use_natten: bool = False,
        lfu_dim: int | None = None,
    ):
        super().__init__()
        lfu_dim = qk_dim if lfu_dim is None else lfu_dim
        check_whole("AnyUp", "input_dim", input_dim, 1)
        for name, value in (("qk_dim", qk_dim), ("lfu_dim", lfu_dim)):
            check_whole("AnyUp", name, value, 1)
            check(value % GROUPS == 0, f"AnyUp: {name} should be a multiple of {GROUPS} but is {value}")
        check_odd("AnyUp", "kernel_size", kernel_size)
        check_odd("AnyUp", "kernel_size_lfu", kernel_size_lfu)
        check(
            kernel_size_lfu > 1 or not init_gaussian_derivatives,
            "AnyUp: kernel_size_lfu should be at least 3 for derivatives of a Gaussian but is 1",
        )
        check(window_ratio == window_ratio, f"AnyUp: window_ratio should be a number but is {window_ratio}")
        check_divides("AnyUp", "num_heads", num_heads, "qk_dim", qk_dim)
        check(not use_natten, "AnyUp: use_natten should be False but is True: its window and parameters are others")
        self.input_dim = input_dim
        self.qk_dim = qk_dim
        self.kernel_size = kernel_size
        self.window_ratio = window_ratio
        self.num_heads = num_heads
        self.lfu_dim = lfu_dim
        self.image_encoder = _encoder(ReflectConv2d(input_dim, qk_dim, kernel_size, bias=False), qk_dim, qk_dim)
        self.key_encoder = _encoder(ReflectConv2d(qk_dim, qk_dim, 1, bias=False), qk_dim, qk_dim)
        self.query_encoder = _encoder(ReflectConv2d(qk_dim, qk_dim, 1, bias=False), qk_dim, qk_dim)
        bank = FilterBank(lfu_dim, kernel_size_lfu, init_gaussian_derivatives)
        self.key_features_encoder = _encoder(bank, lfu_dim, qk_dim)
        self.cross_decode = QueriesAndKeys(qk_dim, qk_dim)
        self.aggregation = _encoder(ReflectConv2d(2 * qk_dim, qk_dim, AGGREGATION, bias=False), qk_dim, qk_dim)
        self.rope = LearnedRoPE(qk_dim)

    def forward(self, image: Tensor, features: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        """image [N, input_dim, Hi, Wi], features [N, C, h, w], any C, h and w at least 2 -> [N, C, *output_size], of the
        image's size if None. ValueError if not."""
        check_map(self, "image", image, self.input_dim)
        check_any_map(self, "features", features)
        check_same_batch("AnyUp", "image", image, "features", features)
        check_reflects("AnyUp", "image", image, self.kernel_size)
        check_reflects("AnyUp", "features", features, AGGREGATION)
        size = image.shape[2:] if output_size is None else output_size
        check_size("AnyUp", "output_size", size)
        query, key = self.cross_decode(*self._before_attention(image, features, size))
        window = "ratio" if self.window_ratio > 0 else "whole"
        ratio = max(self.window_ratio, 0.0)
        return ops.cross_attention(query, key, features, self.num_heads, window, ratio=ratio, mean_heads=True)

    def _before_attention(self, image: Tensor, features: Tensor, size: Sequence[int]) -> tuple[Tensor, Tensor]:
        """[N, D, *size] and [N, D, h, w]."""
        encoded = self.rope(self.image_encoder(image))
        query = pool(self.query_encoder(encoded), size)
        of_image = pool(self.key_encoder(encoded), features.shape[2:])
        of_features = self.key_features_encoder(F.normalize(features, dim=1))
        return query, self.aggregation(torch.cat([of_image, of_features], 1))


class ResBlock(nn.Module):
    """x, or a 1x1 convolution of it where channels change, plus conv1x1(SiLU(GN(conv1x1(SiLU(GN(x))))))."""

    def __init__(self, in_channels: int, channels: int):
        super().__init__()
        self.block = nn.Sequential(
            GroupNorm(GROUPS, in_channels),
            nn.SiLU(),
            nn.Conv2d(in_channels, channels, 1, bias=False),
            GroupNorm(GROUPS, channels),
            nn.SiLU(),
            nn.Conv2d(channels, channels, 1, bias=False),
        )
        same = in_channels == channels
        self.shortcut = nn.Identity() if same else nn.Conv2d(in_channels, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.block(x) + self.shortcut(x)


def _encoder(first: nn.Module, between: int, channels: int) -> nn.Sequential:
    """first, whose output has between channels, and two blocks -> channels."""
    return nn.Sequential(first, ResBlock(between, channels), ResBlock(channels, channels))
