"""Formulas of group normalisation: statistics, and their fold into the projection behind."""

from __future__ import annotations

from upwell.nn.gaussian import SIDE
from upwell.onnx.interpolate import bilinear
from upwell.onnx.term import Term


def gaussian3(x: Term) -> Term:
    """x [N, C, H, W] blurred by sigma 1 in 3 x 3, the border repeated."""
    for axis in (2, 3):
        length = x.size(axis)
        place = length.range()
        around = x.gather((place - 1).most(0), axis) + x.gather((place + 1).least(length - 1), axis)
        x = around * SIDE + x * (1 - 2 * SIDE)
    return x


def group_stats(x: Term, groups: int, eps: float, blur: bool) -> tuple[Term, Term]:
    """x [N, C, H, W] -> [N, groups], [N, groups]: mean and 1/sqrt(variance + eps), of x blurred with blur."""
    x = gaussian3(x) if blur else x
    grouped = x.reshape(0, groups, -1)
    mean = grouped.mean(2)
    centred = grouped - mean
    deviation = ((centred * centred).mean(2) + eps).sqrt()
    return mean.squeeze(2), (1.0 / deviation).squeeze(2)


def upsampled_group_stats(x: Term, size: list[Term], groups: int, eps: float) -> tuple[Term, Term]:
    """group_stats of x upsampled bilinearly to size."""
    return group_stats(bilinear(x, size, None, None), groups, eps, False)


def fold_group_norm(
    weight: Term, bias: Term, norm_weight: Term, norm_bias: Term, mean: Term, rstd: Term
) -> tuple[Term, Term]:
    """weight [O, C], bias [O], norm_weight, norm_bias [C], mean, rstd [N, groups] -> [N, O, C], [N, O]: the normalisation and
    the 1x1 convolution behind it as one product."""
    factor, shift = affine(mean, rstd, norm_weight, norm_bias)
    of_shift = shift.matmul(weight.transpose(1, 0))
    return weight.unsqueeze(0) * factor.unsqueeze(1), bias + of_shift


def affine(mean: Term, rstd: Term, weight: Term, bias: Term | None = None) -> tuple[Term, Term]:
    """[N, C], [N, C]: the normalised x is the first times x plus the second."""
    N, groups = mean.size(0), mean.size(1)
    factor = rstd.unsqueeze(2) * weight.reshape(groups, -1)
    shift = (-(mean.unsqueeze(2) * factor)).reshape(N, -1)
    return factor.reshape(N, -1), shift if bias is None else shift + bias


def normalised(x: Term, statistics: tuple[Term, Term], weight: Term, bias: Term | None = None) -> Term:
    """x [N, C, H, W] by statistics of its groups."""
    factor, shift = affine(*statistics, weight, bias)
    return x * factor.unsqueeze(2, 3) + shift.unsqueeze(2, 3)
