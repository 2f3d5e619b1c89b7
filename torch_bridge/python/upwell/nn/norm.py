"""GroupNorm as ReSFU uses it: any map size, and folded into the projection behind it."""

import contextlib

import torch
from torch import Tensor, nn

from upwell import ops


class GroupNorm(nn.GroupNorm):
    """nn.GroupNorm that accepts one value per group, as a 1 x 1 map can have."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.group_norm(x, self.num_groups, self.weight, self.bias, self.eps)


def published_group_norm(channels: int) -> GroupNorm:
    """32 groups, or one per channel below 32 (published); else the largest divisor of channels up to 32."""
    return GroupNorm(max(groups for groups in range(1, 33) if channels % groups == 0), channels)


def project_normalised(convolution: nn.Conv2d, norm: nn.GroupNorm | None, x: Tensor) -> Tensor:
    """convolution(norm(x)) of a 1x1 convolution, x [N, C, H, W], without the normalised map.

    The normalisation is affine once its statistics are known: they go into the weights, one set per sample.
    Under autocast this stays in the dtype of the parameters: 16 bits are too few for such weights.
    """
    if norm is None:
        return convolution(x)
    # The meta device has no autocast.
    with contextlib.nullcontext() if x.is_meta else torch.autocast(x.device.type, enabled=False):
        return _project_normalised(convolution, norm, x.to(convolution.weight.dtype))


def _project_normalised(convolution: nn.Conv2d, norm: nn.GroupNorm, x: Tensor) -> Tensor:
    statistics = ops.group_stats(x, norm.num_groups, norm.eps)
    mean, rstd = (s.repeat_interleave(x.shape[1] // norm.num_groups, 1) for s in statistics)
    scale = norm.weight * rstd  # N, C
    weight = convolution.weight.flatten(1)
    bias = (norm.bias - scale * mean) @ weight.T
    if convolution.bias is not None:
        bias = bias + convolution.bias
    return torch.baddbmm(bias[:, :, None], weight * scale[:, None, :], x.flatten(2)).unflatten(2, x.shape[2:])
