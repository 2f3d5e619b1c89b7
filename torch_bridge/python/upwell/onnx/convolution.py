"""Formulas of transposed convolutions."""

from __future__ import annotations

from collections.abc import Sequence

from upwell.onnx.term import Term


def transposed_conv(
    input: Term,
    weight: Term,
    bias: Term | None,
    stride: Sequence[int],
    padding: Sequence[int],
    output_padding: Sequence[int],
    groups: int,
) -> Term:
    """input [N, C, h, w], weight [C, D/groups, KH, KW] -> [N, D, H, W]: torch's transposed convolution."""
    return input.conv_transpose(
        weight, bias, strides=list(stride), pads=[*padding, *padding], output_padding=list(output_padding), group=groups
    )


def merge_kernels(large: Term, small: Term) -> Term:
    """large [A, B, KH, KW], small [A, B, kh, kw] -> [A, B, KH, KW]: both, the small one at the centre."""
    margin = [(large.size(axis) - small.size(axis)) // 2 for axis in (2, 3)]
    return large + small.pad((0, 0, *margin), (0, 0, *margin))
