"""The weights of cross_attention as a map, for callers who ask for them: its kernels keep none."""

import math

import torch
from torch import Tensor


def window_weights(
    query: Tensor, key: Tensor, heads: int, window: str, kernel: tuple[int, int], ratio: float, mean_heads: bool
) -> Tensor:
    """[N, heads, T, H, W], or [N, T, H, W] of the mean of heads: the softmax over the T = rows x columns cells of each
    pixel's window, row-major. Where a window has fewer, those behind it, or outside the map, have 0.

    Made of torch's operators, a tap at a time, which differentiates it; arguments as of a call that was accepted.
    """
    if query.dtype in (torch.float16, torch.bfloat16):
        query, key = query.float(), key.float()
    (rows, in_rows), (columns, in_columns) = (
        cells_of_windows(window, kernel[axis], ratio, key.shape[2 + axis], query.shape[2 + axis], query.device) for axis in (0, 1)
    )
    of_heads = query.unflatten(1, (heads, -1))
    scale = 1 / math.sqrt(of_heads.shape[2])
    scores, there = [], []
    for row, in_row in zip(rows, in_rows):
        keys = key.index_select(2, row)
        for column, in_column in zip(columns, in_columns):
            tap = keys.index_select(3, column).unflatten(1, (heads, -1))
            scores.append((of_heads * tap).sum(2) * scale)
            there.append(in_row[:, None] & in_column)
    weights = torch.stack(scores, 2).masked_fill(~torch.stack(there), -math.inf).softmax(2)
    return weights.mean(1) if mean_heads else weights


def cells_of_windows(
    window: str, kernel: int, ratio: float, low: int, high: int, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Along an axis, [count, high]: the cells of pixels' windows, moved inside the map, and whether they are in both (the
    windows of grid/cell_window.h)."""
    p = torch.arange(high, device=device)
    if window == "shifted":
        count = min(kernel, low)
        first = ((2 * p + 1) * low).div(2 * high, rounding_mode="floor").sub(kernel // 2).clamp(0, low - count)
        end = first + count
    elif window == "masked":
        count = kernel
        first = (p * low).div(high, rounding_mode="floor") - kernel // 2
        end = first + count
    elif window == "ratio":
        count = min(low, math.ceil(2 * ratio * low) + 1)
        centre = (p.double() + 0.5) / high
        first = (low * (centre - ratio).clamp(0, 1)).floor().long()
        end = torch.maximum(first + 1, (low * (centre + ratio).clamp(0, 1)).ceil().long())
    else:
        count = low
        first = 0 * p
        end = first + low
    cells = first + torch.arange(count, device=device)[:, None]
    there = (cells >= 0) & (cells < low) & (cells < end)
    return cells.clamp(0, low - 1), there
