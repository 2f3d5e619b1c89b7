"""GroupNorm as ReSFU uses it: any map size, and statistics that can be taken from another map."""

import torch
from torch import Tensor, nn


class GroupNorm(nn.GroupNorm):
    """nn.GroupNorm that accepts one value per group, as a 1 x 1 map can have."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.group_norm(x, self.num_groups, self.weight, self.bias, self.eps)


def published_group_norm(channels: int) -> GroupNorm:
    """32 groups, or one per channel below 32 (published); else the largest divisor of channels up to 32."""
    return GroupNorm(max(groups for groups in range(1, 33) if channels % groups == 0), channels)


def group_statistics(x: Tensor, groups: int, eps: float) -> tuple[Tensor, Tensor]:
    """Mean and 1/sqrt(variance + eps) of each sample and group of x [N, D, H, W], as [N, D, 1, 1]."""
    each = x.shape[1] // groups
    grouped = x.unflatten(1, (groups, each))
    mean = grouped.mean((2, 3, 4), keepdim=True)
    variance = (grouped - mean).square().mean((2, 3, 4), keepdim=True)
    mean, rstd = (s.expand(-1, -1, each, 1, 1).flatten(1, 2) for s in (mean, (variance + eps).rsqrt()))
    return mean, rstd
