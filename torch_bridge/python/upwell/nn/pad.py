"""Borders by concatenation: torch's own padding of maps has, compiled, no backward on CPU (torch 2.11), and one on CUDA
that differs from run to run."""

import torch
import torch.nn.functional as F
from torch import Tensor

MODES = ("circular", "constant", "reflect", "replicate")


def pad(x: Tensor, count: int, mode: str) -> Tensor:
    """x [N, C, h, w] -> [N, C, h + 2 count, w + 2 count]. mode: one of MODES, as of torch.nn.functional.pad, constant with
    zeros; circular may wrap more than once; reflect needs count below h and w."""
    if count == 0:
        return x
    if mode == "constant":
        return F.pad(x, [count] * 4)
    if mode == "replicate":
        return replicate_pad(x, count, count)
    side = _wrapped if mode == "circular" else _reflected
    for axis in (2, 3):
        x = torch.cat(side(x, axis, count), axis)
    return x


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


def _wrapped(x: Tensor, axis: int, count: int) -> list[Tensor]:
    length = x.shape[axis]
    whole, rest = count // length, count % length
    return [x.narrow(axis, length - rest, rest), *[x] * (2 * whole + 1), x.narrow(axis, 0, rest)]


def _reflected(x: Tensor, axis: int, count: int) -> list[Tensor]:
    before, after = (x.narrow(axis, start, count).flip(axis) for start in (1, x.shape[axis] - 1 - count))
    return [before, x, after]
