"""Paired central difference convolutions (ReSFU)."""

import torch
import torch.nn.functional as F
from torch import Tensor

from upwell.composed.norms import group_stats, upsampled_group_stats
from upwell.composed.places import read_at
from upwell.nn.gaussian import gaussian3
from upwell.nn.pad import replicate_pad

EPS = 1e-5  # of both normalisations


def pcdc(key: Tensor, query: Tensor, weight: Tensor, groups: int, dilation: list[int]) -> Tensor:
    """As `upwell.ops.pcdc` without a bias."""
    radius = weight.shape[2] // 2
    beyond = replicate_pad(key, radius * dilation[0], radius * dilation[1])
    central = F.conv2d(query, weight.sum((2, 3), keepdim=True), groups=groups)
    return F.conv2d(beyond, weight, dilation=tuple(dilation), groups=groups) - central


def pcdc_scores(
    key,
    query,
    norm_weight,
    weight,
    bias,
    compress_weight,
    compress_bias,
    hidden_weight,
    hidden_bias,
    score_weight,
    score_bias,
    groups,
    norm_groups,
    ratio,
    relu,
    blur,
) -> Tensor:
    """As `upwell.ops.pcdc_scores`; compress_weight [M, L/groups], score_weight [S, M]."""
    sizes = tuple(query.shape[2:])
    if ratio is None:
        mean, rstd = upsampled_group_stats(key, sizes, norm_groups, EPS)
    else:
        key = gaussian3(key) if blur else key
        mean, rstd = group_stats(key, norm_groups, EPS, False)
    mean, rstd = (each.repeat_interleave(key.shape[1] // norm_groups, 1)[:, :, None, None] for each in (mean, rstd))
    key = (key - mean) * rstd * norm_weight[:, None, None]
    query = F.group_norm(query, norm_groups, norm_weight, torch.zeros_like(norm_weight), EPS)
    taps = _taps(key, sizes, weight.shape[2], ratio)  # [N, D * K*K, H, W]
    difference = F.conv2d(taps, weight.flatten(1)[:, :, None, None], bias.flatten(), groups=groups)
    difference = difference - F.conv2d(query, weight.sum((2, 3), keepdim=True), groups=groups)
    difference = difference.relu() if relu else difference
    hidden = F.conv2d(difference, compress_weight[:, :, None, None], compress_bias, groups=groups).relu()
    hidden = F.group_norm(hidden, norm_groups, hidden_weight, hidden_bias, EPS)
    return F.conv2d(hidden, score_weight[:, :, None, None], score_bias)


def _taps(key: Tensor, sizes: tuple[int, int], kernel: int, ratio: list[int] | None) -> Tensor:
    """What taps read: of a map a ratio apart, or of one that is upsampled one of its pixels apart."""
    offsets = range(-(kernel // 2), kernel // 2 + 1)

    def along(x: Tensor, axis: int, offset: int) -> Tensor:
        high = sizes[axis - 2]
        p = torch.arange(high, device=x.device)
        if ratio is None:
            low = x.shape[axis]
            return read_at(x, axis, (2 * p + 1) * low - high + offset * 2 * high, 2 * high)
        apart, over = ratio[2 * (axis - 2) : 2 * (axis - 1)]
        return read_at(x, axis, p * over + offset * apart, over)

    rows = [along(key, 2, offset) for offset in offsets]
    return torch.stack([along(row, 3, offset) for row in rows for offset in offsets], 2).flatten(1, 2)
