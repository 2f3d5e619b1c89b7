"""GroupNorm as ReSFU uses it: any map size, and folded into the projection behind it."""

import contextlib

import torch
from torch import Tensor, nn

from upwell import ops
from upwell.nn.layer import is_plain, is_projection, laid_out


NORM_EPS = 1e-5


class GroupNorm(nn.GroupNorm):
    """nn.GroupNorm that accepts one value per group, as a 1 x 1 map can have, and any memory layout: torch's (2.11) fails
    on a CPU in the backward pass of a map in channels_last that needs no gradient itself."""

    def forward(self, x: Tensor) -> Tensor:
        normal = torch.group_norm(x.flatten(2), self.num_groups, self.weight, self.bias, self.eps)
        return normal.view(x.shape)


def is_group_norm(layer: nn.Module, **settings) -> bool:
    """Whether layer is plainly a group normalisation with weight and bias."""
    return any(is_plain(layer, kind, affine=True, **settings) for kind in (GroupNorm, nn.GroupNorm))


def published_group_norm(channels: int) -> GroupNorm:
    """32 groups, or one per channel below 32 (published); else the largest divisor of channels up to 32."""
    return GroupNorm(max(groups for groups in range(1, 33) if channels % groups == 0), channels)


def project_normalised(projection: nn.Module, norm: nn.Module | None, x: Tensor) -> Tensor:
    """projection(norm(x)), x [N, C, H, W]; of a plain 1x1 convolution and norm without the normalised map.

    The normalisation is affine once its statistics are known: they go into the weights, one set per sample.
    Under autocast this stays in the dtype of the parameters: 16 bits are too few for such weights.
    """
    if norm is None:
        return projection(x)
    if not (is_projection(projection) and is_group_norm(norm)):
        return projection(norm(x))
    with without_autocast(x):
        return _project_normalised(projection, norm, x.to(projection.weight.dtype))


def without_autocast(x: Tensor) -> contextlib.AbstractContextManager:
    # The meta device has no autocast.
    return contextlib.nullcontext() if x.is_meta else torch.autocast(x.device.type, enabled=False)


def group_norm_of_upsampled(
    x: Tensor, size: torch.Size, norm: nn.GroupNorm, weight: Tensor, bias: Tensor
) -> Tensor:
    """x [N, C, h, w] by the statistics of its bilinear upsampling to size, for norm's groups."""
    statistics = ops.group_stats(x, norm.num_groups, norm.eps, size=size)
    mean, rstd = (s.repeat_interleave(x.shape[1] // norm.num_groups, 1) for s in statistics)
    return (x - mean[:, :, None, None]) * (rstd * weight)[:, :, None, None] + bias[:, None, None]


def _project_normalised(convolution: nn.Conv2d, norm: nn.GroupNorm, x: Tensor) -> Tensor:
    statistics = ops.group_stats(x, norm.num_groups, norm.eps)
    weight, bias = laid_out(convolution.weight).flatten(1), convolution.bias
    bias = weight.new_zeros(weight.shape[0]) if bias is None else bias
    weight, bias = ops.fold_group_norm(weight, bias, norm.weight, norm.bias, *statistics)
    return torch.baddbmm(bias[:, :, None], weight, x.flatten(2)).unflatten(2, x.shape[2:])
