"""NAF (arXiv 2511.18452): neighbourhood cross-attention of features whose queries and keys are made of the image alone."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from upwell import ops
from upwell.nn.check import (
    check,
    check_any_map,
    check_divides,
    check_map,
    check_reflects,
    check_same_batch,
    check_size,
    check_whole,
)
from upwell.nn.dilated import dilated_attention
from upwell.nn.encoder import GROUPS, encoder, pool
from upwell.nn.rope import AxialRoPE

SEMANTIC = 3  # the kernels of the second encoder
MOST_PIXELS = 4  # of the image per pixel of the output, along an axis


class NAF(nn.Module):
    """The module of valeoai/NAF: same constructor, initial values and state_dict.

    Args:
        dim: D of queries and keys, a multiple of 16, of heads_attn and of 4 heads_rope.
        heads_attn: of the attention; they divide the features' channels.
        heads_rope: of the position embedding.
        kernel_size: K; a pixel sees K x K cells around its own, at a border the window moves inside.
        use_encoder: encode the image. False: the image has dim channels and is only pooled.
        rope_base: ratio of the longest period of the position embedding to the shortest.
        rope_rescale: in training, positions are scaled by a random number of 1/rope_rescale .. rope_rescale; None: not.
        img_layers: blocks of the encoders.
        window_published: where H/h or W/w is no integer, the window that the published code has there: dilated by
            floor(H/h), so that it covers less than K cells and some of them twice. Such calls are made of torch's
            operations. It takes H >= h and K floor(H/h) <= H, as published. At integer ratios both windows are one.
        input_dim: channels of the image (published: 3).
    """

    def __init__(
        self,
        dim: int = 256,
        heads_attn: int = 4,
        heads_rope: int = 4,
        kernel_size: int = 9,
        use_encoder: bool = True,
        rope_base: float = 100.0,
        rope_rescale: float | None = 2.0,
        img_layers: int = 2,
        window_published: bool = False,
        input_dim: int = 3,
    ):
        super().__init__()
        check_whole("NAF", "dim", dim, 1)
        check(dim % (2 * GROUPS) == 0, f"NAF: dim should be a multiple of {2 * GROUPS} but is {dim}")
        check_divides("NAF", "heads_attn", heads_attn, "dim", dim)
        check_divides("NAF", "heads_rope", heads_rope, "dim / 4 =", dim // 4)
        check_whole("NAF", "kernel_size", kernel_size, 1)
        check(0 < rope_base < math.inf, f"NAF: rope_base should be positive and finite but is {rope_base}")
        check(
            rope_rescale is None or 1 <= rope_rescale < math.inf,
            f"NAF: rope_rescale should be at least 1 and finite or None but is {rope_rescale}",
        )
        check_whole("NAF", "img_layers", img_layers, 0)
        check_whole("NAF", "input_dim", input_dim, 1)
        self.dim = dim
        self.heads_attn = heads_attn
        self.kernel_size = kernel_size
        self.use_encoder = use_encoder
        self.window_published = window_published
        self.input_dim = input_dim
        self.image_encoder = ImageEncoder(input_dim, dim, heads_rope, use_encoder, rope_base, rope_rescale, img_layers)

    def forward(self, image: Tensor, features: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        """image [N, input_dim, Hi, Wi] of at least 2 x 2 pixels, features [N, C, h, w] -> [N, C, *output_size], of the
        image's size if None. ValueError if not."""
        check_map(self, "image", image, self.input_dim if self.use_encoder else self.dim)
        check_any_map(self, "features", features)
        check_same_batch("NAF", "image", image, "features", features)
        C = features.shape[1]
        check(
            C % self.heads_attn == 0,
            f"NAF: features should have channels that heads_attn {self.heads_attn} divides but is {list(features.shape)}",
        )
        if self.use_encoder:
            check_reflects("NAF", "image", image, SEMANTIC)
        size = image.shape[2:] if output_size is None else output_size
        check_size("NAF", "output_size", size)
        query = self.image_encoder(image, size)
        key = pool(query, features.shape[2:])
        if self.window_published and not self._ratios_are_whole(features, size):
            return dilated_attention(query, key, features, self.heads_attn, self.kernel_size)
        return ops.cross_attention(query, key, features, self.heads_attn, "shifted", (self.kernel_size, self.kernel_size))

    def _ratios_are_whole(self, features: Tensor, size: Sequence[int]) -> bool:
        """Whether the published window is the shifted one. ValueError where the published code has none."""
        K = self.kernel_size
        for m, n in zip(size, features.shape[2:]):
            check(
                m >= n and K * (m // n) <= m,
                f"NAF: output_size should be at least features' size and {K} times its floored ratio to that, for the "
                f"published window, but is {list(size)} for features {list(features.shape)}",
            )
        return all(m % n == 0 for m, n in zip(size, features.shape[2:]))


class ImageEncoder(nn.Module):
    """Two encoders of an image side by side, one of pixels and one of 3 x 3, pooled and turned by position."""

    def __init__(
        self,
        input_dim: int,
        dim: int,
        heads_rope: int,
        use_encoder: bool,
        rope_base: float,
        rope_rescale: float | None,
        layers: int,
    ):
        super().__init__()
        self.use_encoder = use_encoder
        options = {"layers": layers, "bias": True, "residual": False}
        self.encoder = encoder(input_dim, dim // 2, 1, 1, **options)
        self.sem_encoder = encoder(input_dim, dim // 2, SEMANTIC, SEMANTIC, **options)
        self.rope = AxialRoPE(dim, heads_rope, rope_base, rope_rescale)

    def forward(self, image: Tensor, size: Sequence[int]) -> Tensor:
        """image [N, input_dim, Hi, Wi] -> [N, dim, *size]."""
        high, wide = (MOST_PIXELS * length for length in size)
        if image.shape[2] > high or image.shape[3] > wide:
            # Both limits bind both axes, as published: an image may lose its proportions.
            image = ops.bilinear(image, (min(image.shape[2], high, wide), min(image.shape[3], high, wide)))
        if self.use_encoder:
            image = torch.cat([self.encoder(image), self.sem_encoder(image)], 1)
        return self.rope(pool(image, size))
