"""The operators as functions: float32 and float64 on CPU, differentiable, any memory layout in, contiguous
NCHW out.

Low-res maps are N,C,h,w and high-res maps N,C,H,W; H and W are free (any size, up or down). K is the number
of taps per side, odd. A bad argument raises an exception that names the operator, the argument and its shape.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["bilinear", "carafe", "carafe_reassembly", "fns", "nearest"]


def fns(value: Tensor, logits: Tensor, kernel: int, mask_ratio: int | None = None) -> Tensor:
    """Fused neighbour selection (ReSFU): each high-res pixel is a softmax-weighted sum of K*K bilinear
    samples of value, one low-res pixel apart; taps outside the image leave the softmax.

    Args:
        value: [N, C, h, w].
        logits: [N, K*K, H, W], taps row-major.
        kernel: K.
        mask_ratio: high-res pixels between two taps where it is decided which lie outside, if not H/h and
            W/w.

    Returns:
        [N, C, H, W].
    """
    return torch.ops.upwell.fns(value, logits, kernel, mask_ratio)


def carafe(value: Tensor, logits: Tensor, kernel: int, groups: int = 1, border: str = "zero") -> Tensor:
    """Content-aware reassembly (CARAFE): each high-res pixel is a softmax-weighted sum of the K*K low-res
    pixels around floor(p h/H), with weights of its own for each group of channels.

    Args:
        value: [N, C, h, w], groups dividing C.
        logits: [N, groups*K*K, H, W], taps row-major within a group; the softmax is over a group's K*K.
        kernel: K.
        groups: channel groups.
        border: "zero" (published): a tap outside counts as 0 and keeps its weight; "mask": it leaves the
            softmax.

    Returns:
        [N, C, H, W].
    """
    return torch.ops.upwell.carafe(value, logits, kernel, groups, border)


def carafe_reassembly(value: Tensor, weight: Tensor, kernel: int, groups: int = 1) -> Tensor:
    """`carafe` with the weights as given, and zeros outside the image: mmcv's carafe(features, masks, ...).

    Args:
        value: [N, C, h, w], groups dividing C.
        weight: [N, groups*K*K, H, W].
        kernel: K.
        groups: channel groups.

    Returns:
        [N, C, H, W].
    """
    return torch.ops.upwell.carafe_reassembly(value, weight, kernel, groups)


def bilinear(value: Tensor, size: Sequence[int]) -> Tensor:
    """Bilinear interpolation with align_corners=False. value [N, C, h, w], size (H, W) -> [N, C, H, W]."""
    return torch.ops.upwell.bilinear(value, size)


def nearest(value: Tensor, size: Sequence[int]) -> Tensor:
    """Nearest neighbour: row p is row floor(p h/H). value [N, C, h, w], size (H, W) -> [N, C, H, W]."""
    return torch.ops.upwell.nearest(value, size)
