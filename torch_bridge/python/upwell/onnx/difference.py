"""Formulas of ReSFU's scores: the paired central difference convolution and the block around it."""

from __future__ import annotations

from collections.abc import Sequence

from upwell.onnx.grid import between, centres, read_linear, replicate_pad, taps
from upwell.onnx.norm import gaussian3, group_stats, normalised, upsampled_group_stats
from upwell.onnx.term import Term, total

EPS = 1e-5  # of both normalisations


def pcdc(
    key: Term, query: Term, weight: Term, bias: Term | None, groups: int, dilation: Sequence[int]
) -> Term:
    """key, query [N, D, H, W], weight [L, D/groups, K, K] -> [N, L, H, W]: conv(key) - conv1x1(query, sum of weight) + bias,
    the border repeated."""
    reach = weight.shape[2] // 2
    padded = replicate_pad(key, reach * dilation[0], reach * dilation[1])
    return padded.conv(weight, bias, groups, dilation) - query.conv(weight.sum(2, 3), None, groups)


def pcdc_scores(
    key: Term,
    query: Term,
    norm_weight: Term,
    weight: Term,
    bias: Term,
    compress_weight: Term,
    compress_bias: Term,
    hidden_weight: Term,
    hidden_bias: Term,
    score_weight: Term,
    score_bias: Term,
    groups: int,
    norm_groups: int,
    ratio: Sequence[int | Term] | None,
    relu: bool,
    blur: bool,
) -> Term:
    """key [N, D, H, W] with ratio, else [N, D, h, w] that stands for its upsampling, query [N, D, H, W] -> [N, S, H, W]: norms,
    pcdc, a grouped 1x1 convolution, ReLU, norm, a 1x1 convolution."""
    size = [query.size(2), query.size(3)]
    if ratio is None:
        statistics = upsampled_group_stats(gaussian3(key) if blur else key, size, norm_groups, EPS)
    else:
        statistics = group_stats(key, norm_groups, EPS, blur)
    key = normalised(gaussian3(key) if blur else key, statistics, norm_weight)
    query = normalised(query, group_stats(query, norm_groups, EPS, False), norm_weight)
    of_key = _of_low_res(key, weight, groups, size) if ratio is None else _of_map(key, weight, groups, ratio)
    difference = of_key - query.conv(weight.sum(2, 3), None, groups) + bias.reshape(-1, 1, 1)
    difference = difference.relu() if relu else difference
    hidden = difference.conv(compress_weight.reshape(0, -1, 1, 1), compress_bias, groups).relu()
    hidden = normalised(hidden, group_stats(hidden, norm_groups, EPS, False), hidden_weight, hidden_bias)
    return hidden.conv(score_weight.reshape(0, -1, 1, 1), score_bias)


def _of_low_res(key: Term, weight: Term, groups: int, size: Sequence[Term]) -> Term:
    """The convolution of the upsampled key, taps one cell apart: the upsampling of the key's, which reaches one cell beyond the
    border."""
    around = weight.shape[2] // 2 + 1
    made = replicate_pad(key, around, around).conv(weight, None, groups)
    for axis, high in ((2, size[0]), (3, size[1])):
        base, fraction = centres(key.size(axis), high)
        made = read_linear(made, axis, base + 1, fraction)
    return made


def _of_map(key: Term, weight: Term, groups: int, ratio: Sequence[int | Term]) -> Term:
    """The convolution with taps a ratio apart, linear between pixels, the border repeated."""
    if all(isinstance(part, int) for part in ratio) and ratio[0] % ratio[1] == 0 and ratio[2] % ratio[3] == 0:
        dilation, reach = (ratio[0] // ratio[1], ratio[2] // ratio[3]), weight.shape[2] // 2
        padded = replicate_pad(key, reach * dilation[0], reach * dilation[1])
        return padded.conv(weight, None, groups, dilation)
    made = []
    for i, down in enumerate(taps(weight.shape[2])):
        shifted = _shifted(key, 2, down, *ratio[:2])
        for j, across in enumerate(taps(weight.shape[3])):
            made.append(_shifted(shifted, 3, across, *ratio[2:]).conv(weight.take(i, 2).take(j, 3), None, groups))
    return total(made)


def _shifted(x: Term, axis: int, offset: int, high: int | Term, low: int | Term) -> Term:
    """x at p + offset high/low."""
    length = x.size(axis)
    place = (length.range() * low + high * offset).clamp(0, (length - 1) * low)
    return read_linear(x, axis, *between(place, low))
