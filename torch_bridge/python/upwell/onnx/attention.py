"""Formulas of attention: cross-attention to a window of cells, and the mean over a window, which JAFAR and others take first."""

from __future__ import annotations

import math
from collections.abc import Sequence

from upwell.onnx.grid import cells, whole_ratios
from upwell.onnx.term import DOUBLE, FLOAT, INT, Term, concat, total


def cross_attention(
    query: Term,
    key: Term,
    value: Term,
    heads: int,
    window: str,
    kernel: Sequence[int],
    ratio: float,
    mean_heads: bool,
) -> Term:
    """query [N, heads d, H, W], key [N, heads d, h, w], value [N, C, h, w] -> [N, C, H, W]: softmax(query . key / sqrt(d)) value
    over each pixel's window of cells."""
    scaled = query * (1.0 / (query.size(1) // heads).to(query.dtype).sqrt())
    ratios = whole_ratios(key, query)
    if window == "whole":
        return _over_all(scaled, key, value, heads, mean_heads, None)
    bounds = [_bounds(window, K, ratio, key.size(axis), query.size(axis)) for K, axis in zip(kernel, (2, 3))]
    if ratios is not None:
        return _by_cells(scaled, key, value, heads, mean_heads, bounds, ratios)
    of_rows, of_columns = (
        _within(key.size(axis).range().unsqueeze(0), *each) for each, axis in zip(bounds, (2, 3))
    )
    mask = of_rows.unsqueeze(1, 3) & of_columns.unsqueeze(0, 2)
    return _over_all(scaled, key, value, heads, mean_heads, mask)


def _over_all(query: Term, key: Term, value: Term, heads: int, mean_heads: bool, mask: Term | None) -> Term:
    """Every pixel is compared with all cells, a head at a time; mask [H, W, h, w]: those that count."""
    (N, _, H, W), (h, w) = query.sizes(), (key.size(2), key.size(3))
    query = query.reshape(N, heads, -1, H * W).transpose(0, 1, 3, 2)
    key = key.reshape(N, heads, -1, h * w)
    mask = None if mask is None else mask.reshape(H * W, h * w)
    weights = []
    for head in range(heads):
        scores = query.take(head, 1).matmul(key.take(head, 1))  # N, 1, pixels, cells
        weights.append((scores if mask is None else mask.where(scores, -math.inf)).softmax(3))
    if mean_heads:
        weights = [total(weights) * (1 / heads)]
    value = value.reshape(N, len(weights), -1, h * w).transpose(0, 1, 3, 2)
    parts = [each.matmul(value.take(part, 1)).transpose(0, 1, 3, 2) for part, each in enumerate(weights)]
    output = parts[0] if len(parts) == 1 else concat(parts, 1)
    return output.reshape(N, -1, H, W)


def _by_cells(
    query: Term,
    key: Term,
    value: Term,
    heads: int,
    mean_heads: bool,
    bounds: Sequence[tuple[Term, Term]],
    ratios: tuple[int, int],
) -> Term:
    """The r x s pixels of a cell are compared with the a x b cells that any of them sees: products of small matrices."""
    (N, _, H, W), (h, w), (r, s) = query.sizes(), (key.size(2), key.size(3)), ratios
    of_values = 1 if mean_heads else heads
    seen = [_seen_by_cell(*each, low, ratio) for each, low, ratio in zip(bounds, (h, w), ratios)]
    (rows, of_rows), (columns, of_columns) = seen
    a, b = rows.size(1), columns.size(1)

    def windows(x: Term, parts: int) -> Term:
        """[N, parts d, h, w] -> [N, h, a, w, b, parts, d]."""
        return x.transpose(0, 2, 3, 1).gather(rows, 1).gather(columns, 3).reshape(N, h, a, w, b, parts, -1)

    keys = windows(key, heads).transpose(0, 1, 3, 5, 6, 2, 4).reshape(N, h, w, heads, -1, a * b)
    values = windows(value, of_values).transpose(0, 1, 3, 5, 2, 4, 6).reshape(N, h, w, of_values, a * b, -1)
    queries = query.reshape(N, heads, -1, h, r, w, s).transpose(0, 3, 5, 1, 4, 6, 2).reshape(N, h, w, heads, r * s, -1)
    mask = of_rows.reshape(h, 1, 1, r, 1, a, 1) & of_columns.reshape(1, w, 1, 1, s, 1, b)
    weights = mask.reshape(h, w, 1, r * s, a * b).where(queries.matmul(keys), -math.inf).softmax(5)
    output = (weights.mean(3) if mean_heads else weights).matmul(values)
    return output.reshape(N, h, w, of_values, r, s, -1).transpose(0, 3, 6, 1, 4, 2, 5).reshape(N, -1, H, W)


def _seen_by_cell(first: Term, end: Term, low: Term, ratio: int) -> tuple[Term, Term]:
    """[low, a], [ratio low, a]: the cells that any pixel of a cell sees, as many for all, and whether each pixel does."""
    cell = low.range()
    begin = first.gather(cell * ratio, 0)
    count = (end.gather(cell * ratio + (ratio - 1), 0) - begin).largest()
    index = begin.least(low - count).unsqueeze(1) + count.range().unsqueeze(0)
    return index, _within(index.gather(cells(low, low * ratio), 0), first, end)


def _within(cell: Term, first: Term, end: Term) -> Term:
    """cell [1 or high, a], first, end [high] -> [high, a]."""
    return (cell >= first.unsqueeze(1)) & (cell < end.unsqueeze(1))


def _bounds(window: str, kernel: int, ratio: float, low: Term, high: Term) -> tuple[Term, Term]:
    """[high], [high]: the first cell that a pixel sees, and the first behind those."""
    p = high.range()
    if window == "shifted":
        count = low.least(kernel)
        first = ((p * 2 + 1) * low // (high * 2) - kernel // 2).most(0).least(low - count)
        return first, first + count
    if window == "masked":
        own = cells(low, high)
        return (own - kernel // 2).most(0), (own + (kernel // 2 + 1)).least(low)
    centre, length = (p.to(DOUBLE) + 0.5) / high.to(DOUBLE), low.to(DOUBLE)
    first = ((centre - ratio).clamp(0.0, 1.0) * length).floor().to(INT)
    return first, ((centre + ratio).clamp(0.0, 1.0) * length).ceil().to(INT).most(first + 1)


def adaptive_avg_pool2d(x: Term, size: Sequence[Term]) -> Term:
    """torch's, of any size: x [N, C, n, m] -> [N, C, *size], row i the mean of rows floor(i n/H) .. ceil((i + 1) n/H) - 1. As
    products with matrices, which the exporter of torch has no way to say with sizes that are free."""
    of_rows, of_columns = (_means(x.size(axis), length) for axis, length in zip((2, 3), size))
    return of_rows.matmul(x).matmul(of_columns.transpose(1, 0))


def _means(low: Term, high: Term) -> Term:
    """[high, low]: the share of each of low places in the mean of a window."""
    i = high.range()
    first, end = i * low // high, ((i + 1) * low + high - 1) // high
    place = low.range().unsqueeze(0)
    inside = (place >= first.unsqueeze(1)) & (place < end.unsqueeze(1))
    shares = inside.to(FLOAT)
    return shares / shares.sum(1)
