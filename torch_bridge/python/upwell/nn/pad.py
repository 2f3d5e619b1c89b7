"""Replicate borders by concatenation: torch's padding, compiled, has no backward on CPU (torch 2.11)."""

import torch
from torch import Tensor


def replicate_pad(x: Tensor, rows: int, columns: int) -> Tensor:
    """x [N, C, H, W] -> [N, C, H + 2 rows, W + 2 columns]."""
    return _extend(_extend(x, 2, rows, rows), 3, columns, columns)


def pad_to(x: Tensor, size: torch.Size) -> Tensor:
    """x [N, C, h, w] -> [N, C, *size], size at least (h, w): the last row and column repeated."""
    return _extend(_extend(x, 2, 0, size[0] - x.shape[2]), 3, 0, size[1] - x.shape[3])


def _extend(x: Tensor, axis: int, before: int, after: int) -> Tensor:
    """The first slice along axis repeated before times in front, the last after times behind."""
    shape = list(x.shape)
    parts = []
    for start, count in ((0, before), (shape[axis] - 1, after)):
        shape[axis] = count
        parts.append(x.narrow(axis, start, 1).expand(shape))
    return torch.cat([parts[0], x, parts[1]], axis)
