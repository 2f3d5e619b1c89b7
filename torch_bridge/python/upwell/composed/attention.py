"""Attention to cells, and samples at learned offsets."""

import torch
from torch import Tensor

from upwell.composed.places import mirrored
from upwell.window_weights import cells_of_windows, window_weights


def cross_attention(query, key, value, heads, window, kernel, ratio, mean_heads) -> Tensor:
    """As `upwell.ops.cross_attention`, a tap at a time."""
    weights = window_weights(query, key, heads, window, tuple(kernel), ratio, mean_heads)  # [N, heads, T, H, W]
    weights = weights[:, None] if mean_heads else weights
    sizes = [(key.shape[axis], query.shape[axis]) for axis in (2, 3)]
    (rows, _), (columns, _) = (
        cells_of_windows(window, kernel[axis], ratio, low, high, query.device) for axis, (low, high) in enumerate(sizes)
    )
    of_heads = value.unflatten(1, (weights.shape[1], -1))  # [N, heads, C/heads, h, w]
    taps = weights.unbind(2)
    output = 0
    for i, row in enumerate(rows):
        of_rows = of_heads.index_select(3, row)
        for j, column in enumerate(columns):
            output = output + taps[i * len(columns) + j][:, :, None] * of_rows.index_select(4, column)
    return output.flatten(1, 2)


def range_weights(query: Tensor, key: Tensor, spatial: Tensor, kernel: int) -> Tensor:
    """As `upwell.ops.range_weights`."""
    H, W = query.shape[2:]
    rows, columns = (mirrored(length, kernel // 2, "reflect", query.device) for length in (H, W))
    beyond = key.index_select(2, rows).index_select(3, columns)
    scores = [(query * beyond[:, :, i : i + H, j : j + W]).sum(1) for i in range(kernel) for j in range(kernel)]
    weights = torch.stack(scores, 1).softmax(1) * spatial[:, None, None]
    return weights / weights.sum(1, keepdim=True).clamp_min(1e-7)


def sample_at_offsets(value: Tensor, offsets: Tensor, scale: int, groups: int, high_res: bool) -> Tensor:
    """As `upwell.ops.sample_at_offsets`: the four cells around a position, weighted by how near they are."""
    h, w = value.shape[2:]
    of_pixels = offsets if high_res else torch.pixel_shuffle(offsets, scale)
    across, down = of_pixels.unflatten(1, (2, groups)).unbind(1)  # [N, groups, H, W] each
    cells = value.unflatten(1, (groups, -1)).flatten(3)

    def around(offset: Tensor, axis: int, length: int) -> list[tuple[Tensor, Tensor]]:
        own = torch.arange(offset.shape[axis], device=value.device) // scale
        position = ((own[:, None] if axis == 2 else own) + offset).clamp(0, length - 1)
        before = position.detach().floor()
        past = position - before
        first = before.long()
        return [(first, 1 - past), ((first + 1).clamp(max=length - 1), past)]

    output = 0
    for row, by_row in around(down, 2, h):
        for column, by_column in around(across, 3, w):
            places = (row * w + column).flatten(2)[:, :, None]
            weight = (by_row * by_column).flatten(2)[:, :, None]
            output = output + weight * cells.gather(3, places.expand(-1, -1, cells.shape[2], -1))
    return output.flatten(1, 2).unflatten(2, of_pixels.shape[2:])
