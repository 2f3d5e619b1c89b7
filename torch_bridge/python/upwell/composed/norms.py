"""Statistics of group normalisations, and normalisations folded into convolutions."""

from torch import Tensor

from upwell import ops
from upwell.nn.gaussian import gaussian3


def fold_group_norm(weight, bias, norm_weight, norm_bias, mean, rstd) -> tuple[Tensor, Tensor]:
    """As `upwell.ops.fold_group_norm`."""
    per_group = weight.shape[1] // mean.shape[1]
    slope = rstd.repeat_interleave(per_group, 1) * norm_weight  # [N, C]
    offset = norm_bias - mean.repeat_interleave(per_group, 1) * slope
    return weight * slope[:, None], offset @ weight.mT + bias


def group_stats(x: Tensor, groups: int, eps: float, blur: bool) -> tuple[Tensor, Tensor]:
    """As `upwell.ops.group_stats`."""
    grouped = (gaussian3(x) if blur else x).unflatten(1, (groups, -1)).flatten(2)
    return grouped.mean(2), (grouped.var(2, correction=0) + eps).rsqrt()


def upsampled_group_stats(x: Tensor, size: list[int], groups: int, eps: float) -> tuple[Tensor, Tensor]:
    """As `upwell.ops.group_stats` with a size."""
    return group_stats(ops.bilinear(x, size), groups, eps, False)
