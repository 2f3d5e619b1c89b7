"""JAFAR (arXiv 2506.11136): cross-attention of an image's queries and keys that the features modulate."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from upwell import ops
from upwell.nn.attention import QueriesAndKeys
from upwell.nn.check import (
    check,
    check_divides,
    check_map,
    check_odd,
    check_reflects,
    check_same_batch,
    check_size,
    check_whole,
)
from upwell.nn.encoder import GROUPS, encoder, pool
from upwell.nn.norm import GroupNorm
from upwell.nn.rope import LearnedRoPE


class JAFAR(nn.Module):
    """The module of PaulCouairon/JAFAR: same constructor, initial values and state_dict.

    Every pixel is a mean of all cells of the features.

    Args:
        input_dim: channels of the image.
        qk_dim: D of queries and keys, a multiple of 8 and of num_heads.
        v_dim: C of the features.
        feature_dim: published, and read by nothing.
        kernel_size: of the first convolution of the image, odd.
        num_heads: whose weights are averaged.
    """

    def __init__(
        self,
        input_dim: int = 3,
        qk_dim: int = 128,
        v_dim: int = 384,
        feature_dim: int | None = None,
        kernel_size: int = 1,
        num_heads: int = 4,
    ):
        super().__init__()
        for name, value in (("input_dim", input_dim), ("qk_dim", qk_dim), ("v_dim", v_dim)):
            check_whole("JAFAR", name, value, 1)
        check(qk_dim % GROUPS == 0, f"JAFAR: qk_dim should be a multiple of {GROUPS} but is {qk_dim}")
        check_odd("JAFAR", "kernel_size", kernel_size)
        check_divides("JAFAR", "num_heads", num_heads, "qk_dim", qk_dim)
        self.input_dim = input_dim
        self.qk_dim = qk_dim
        self.v_dim = v_dim
        self.kernel_size = kernel_size
        self.num_heads = num_heads
        self.image_encoder = encoder(input_dim, qk_dim, kernel_size)
        self.key_encoder = encoder(qk_dim, qk_dim)
        self.query_encoder = encoder(qk_dim, qk_dim)
        self.norm = GroupNorm(GROUPS, qk_dim, affine=False)
        self.key_features_encoder = encoder(v_dim, qk_dim)
        self.cross_decode = QueriesAndKeys(qk_dim, v_dim, norm_values=True)
        self.sft_key = Modulation(qk_dim)
        self.rope = LearnedRoPE(qk_dim)

    def forward(self, image: Tensor, features: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        """image [N, input_dim, Hi, Wi], features [N, v_dim, h, w] -> [N, v_dim, *output_size], of the image's size if None.
        ValueError if not."""
        check_map(self, "image", image, self.input_dim)
        check_map(self, "features", features, self.v_dim)
        check_same_batch("JAFAR", "image", image, "features", features)
        check_reflects("JAFAR", "image", image, self.kernel_size)
        size = image.shape[2:] if output_size is None else output_size
        check_size("JAFAR", "output_size", size)
        encoded = self.rope(self.image_encoder(image))
        query = self.norm(pool(self.query_encoder(encoded), size))
        key = pool(self.key_encoder(encoded), features.shape[2:])
        key = self.sft_key(key, self.key_features_encoder(F.normalize(features, dim=1)))
        query, key = self.cross_decode(query, key)
        return ops.cross_attention(query, key, features, self.num_heads, "whole", mean_heads=True)


class Modulation(nn.Module):
    """The normalised x times one 1x1 convolution of the features, plus another."""

    def __init__(self, channels: int):
        super().__init__()
        self.gamma = nn.Conv2d(channels, channels, 1, bias=False)
        self.beta = nn.Conv2d(channels, channels, 1, bias=False)
        self.norm = GroupNorm(GROUPS, channels, affine=False)

    def forward(self, x: Tensor, features: Tensor) -> Tensor:
        """x and features [N, C, h, w] -> the same."""
        return torch.addcmul(self.beta(features), self.gamma(features), self.norm(x))
