"""Guided filters: linear models of the guide in every box."""

import torch
import torch.nn.functional as F
from torch import Tensor

from upwell import ops
from upwell.composed.places import mirrored
from upwell.nn.pad import pad_to


def guided_filter(guide, input, radius, eps, scale, centred, border) -> Tensor:
    """As `upwell.ops.guided_filter`."""
    image, data = _samples(guide, input, scale)
    box = radius // scale
    channels = image.shape[1]
    fields = torch.cat([image, data, image * data, image * image], 1)
    mean_image, mean_data, mean_product, mean_square = _box_mean(fields, box, border).split(channels, 1)
    slope = (mean_product - mean_image * mean_data) / (mean_square - mean_image * mean_image + eps)
    means = _box_mean(torch.cat([slope, mean_data - slope * mean_image], 1), box, border)
    slope, offset = _full_size(means, guide.shape[2:], scale, centred).split(channels, 1)
    return slope * guide + offset


def colour_guided_filter(guide, input, radius, eps, scale, centred, border) -> Tensor:
    """As `upwell.ops.colour_guided_filter`."""
    image, data = _samples(guide, input, scale)
    box = radius // scale

    def mean(field: Tensor) -> Tensor:
        """[N, ..., h, w]"""
        return _box_mean(field.flatten(1, -3), box, border).view_as(field)

    mean_image, mean_data = mean(image), mean(data)
    covariance = mean(image[:, :, None] * data[:, None]) - mean_image[:, :, None] * mean_data[:, None]
    colours = mean(image[:, :, None] * image[:, None]) - mean_image[:, :, None] * mean_image[:, None]
    colours = colours + eps * torch.eye(3, dtype=image.dtype, device=image.device)[:, :, None, None]
    slope = _solved(colours, covariance)
    offset = mean_data - (slope * mean_image[:, :, None]).sum(1)
    slope, offset = (
        _full_size(mean(each).flatten(1, -3), guide.shape[2:], scale, centred) for each in (slope, offset)
    )
    return (slope.unflatten(1, (3, -1)) * guide[:, :, None]).sum(1) + offset


def _solved(matrix: Tensor, right: Tensor) -> Tensor:
    """X of matrix X = right, [N, 3, 3, h, w] and [N, 3, C, h, w]. By cofactors: what torch.linalg.solve keeps for its
    tangents is constant to a transform around them (torch 2.11, findings/torch_linalg_solve_tangent.sh)."""
    rows = matrix.unbind(1)
    columns = [torch.linalg.cross(rows[i - 2], rows[i - 1], dim=1) for i in range(3)]
    determinant = (rows[0] * columns[0]).sum(1)[:, None, None]
    return sum(columns[i][:, :, None] * right[:, i, None] for i in range(3)) / determinant


def _samples(guide: Tensor, input: Tensor, scale: int) -> tuple[Tensor, Tensor]:
    """Every scale-th pixel of the guide, and of the input at its size."""
    if input.shape[2:] != guide.shape[2:]:
        input = ops.bilinear(input, guide.shape[2:])
    h, w = (max(length // scale, 1) for length in guide.shape[2:])
    return tuple(x[:, :, : h * scale : scale, : w * scale : scale] for x in (guide, input))


def _box_mean(x: Tensor, radius: int, border: str) -> Tensor:
    """Means of x [N, C, h, w] over the (2 radius + 1)^2 box, of its pixels in the map or with the mirrors beyond."""
    for axis in (2, 3):
        length = x.shape[axis]
        if border == "inside":
            sums = F.pad(x.cumsum(axis), [0, 0, 1, 0] if axis == 2 else [1, 0])
            p = torch.arange(length, device=x.device)
            first, end = (p - radius).clamp_min(0), (p + radius + 1).clamp_max(length)
            count = (end - first).reshape([-1, 1] if axis == 2 else [-1])
            x = (sums.index_select(axis, end) - sums.index_select(axis, first)) / count
        else:
            beyond = x.index_select(axis, mirrored(length, radius, border, x.device))
            x = beyond.unfold(axis, 2 * radius + 1, 1).mean(-1)
    return x


def _full_size(x: Tensor, size: torch.Size, scale: int, centred: bool) -> Tensor:
    """x [N, C, h, w] at the size of the guide; centred: each pixel where it came from."""
    if scale == 1:
        return x
    if not centred:
        return ops.bilinear(x, size)
    h, w = (scale * (length - 1) + 1 for length in x.shape[2:])
    return pad_to(F.interpolate(x, (h, w), mode="bilinear", align_corners=True), size)
