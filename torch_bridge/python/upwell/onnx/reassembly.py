"""Formulas of operators of taps: each pixel a weighted sum of cells around its own."""

from __future__ import annotations

import math
from collections.abc import Sequence

from upwell.onnx.grid import cells, centres, mirrored, outer, replicate_pad, taps, whole_ratios
from upwell.onnx.term import INT, Term, concat, total

# The taps of local_attention: rows and columns of 5 x 5, by their number.
CONNECTED = {
    5: lambda i, j: i + j <= 1,
    9: lambda i, j: max(i, j) <= 1,
    13: lambda i, j: i + j <= 2,
    17: lambda i, j: i + j <= 2 or i * j == 4,
    25: lambda i, j: True,
}


def window_sum(
    value: Term, weight: Term, rows: Sequence[Term], columns: Sequence[Term], places: Sequence[tuple[int, int]] = ()
) -> Term:
    """sum_t weight_t(p) value(rows[i][p], columns[j][p]), (i, j) the t-th of places, or of all pairs, row-major.

    value [N, C, h, w], weight [N, T, H, W], rows of [H], columns of [W] -> [N, C, H, W].
    """
    places = places or _square(len(rows), len(columns))
    wide = [value.gather(column, 3) for column in columns]  # along the axis that lies apart in memory, once for all rows
    return total([wide[j].gather(rows[i], 2) * weight.take(t, 1) for t, (i, j) in enumerate(places)])


def _square(rows: int, columns: int) -> list[tuple[int, int]]:
    return [(i, j) for i in range(rows) for j in range(columns)]


# Where a cell is r x s pixels, all of which see the same T cells, a sum is a product of two small matrices a cell.


def _windows(padded: Term, size: tuple[Term, Term], places: Sequence[tuple[int, int]]) -> Term:
    """padded [N, C, h + .., w + ..] -> [N, h, w, T, C]: what lies at places behind each cell."""
    last = padded.transpose(0, 2, 3, 1)
    h, w = size
    return concat([last.slice(1, i, h + i).slice(2, j, w + j).unsqueeze(3) for i, j in places], 3)


def _as_cells(x: Term, size: tuple[Term, Term], ratios: tuple[int, int]) -> Term:
    """[N, T, r h, s w] -> [N, h, w, r s, T]."""
    (h, w), (r, s) = size, ratios
    split = x.reshape(0, -1, h, r, w, s).transpose(0, 2, 4, 3, 5, 1)
    return split.reshape(0, h, w, r * s, x.size(1))


def _as_pixels(x: Term, size: tuple[Term, Term], ratios: tuple[int, int]) -> Term:
    """[N, h, w, r s, C] -> [N, C, r h, s w]."""
    (h, w), (r, s) = size, ratios
    return x.reshape(0, h, w, r, s, -1).transpose(0, 5, 1, 3, 2, 4).reshape(0, -1, h * r, w * s)


def _own_and_around(x: Term, axis: int, high: Term, kernel: int) -> list[Term]:
    """Of each tap [high]: the cell around a pixel's own, counted from the first one of a border of kernel // 2."""
    own = cells(x.size(axis), high)
    return [own + tap for tap in range(kernel)]


def _grouped(x: Term, groups: int) -> Term:
    """[N, groups C, h, w] -> [N groups, C, h, w]."""
    return x if groups == 1 else x.reshape(x.size(0) * groups, -1, x.size(2), x.size(3))


def _ungrouped(x: Term, groups: int) -> Term:
    return x if groups == 1 else x.reshape(x.size(0) // groups, -1, x.size(2), x.size(3))


def carafe_reassembly(value: Term, weight: Term, kernel: int, groups: int) -> Term:
    """value [N, C, h, w], weight [N, groups K K, H, W] -> [N, C, H, W]: the K x K cells around the pixel's, outside 0."""
    return _reassembled(value, _grouped(weight, groups), kernel, groups, whole_ratios(value, weight))


def _reassembled(value: Term, weight: Term, kernel: int, groups: int, ratios: tuple[int, int] | None) -> Term:
    """weight [N groups, K K, H, W]."""
    size = value.size(2), value.size(3)
    padded = _grouped(value.pad_map(kernel // 2, kernel // 2), groups)
    if ratios is not None:
        windows = _windows(padded, size, _square(kernel, kernel))
        output = _as_pixels(_as_cells(weight, size, ratios).matmul(windows), size, ratios)
    else:
        rows, columns = (_own_and_around(value, axis, weight.size(axis), kernel) for axis in (2, 3))
        output = window_sum(padded, weight, rows, columns)
    return _ungrouped(output, groups)


def carafe(value: Term, logits: Term, kernel: int, groups: int, border: str) -> Term:
    """value [N, C, h, w], logits [N, groups K K, H, W] -> [N, C, H, W]: carafe_reassembly by a softmax of each group; border
    "mask": cells outside leave it."""
    ratios = whole_ratios(value, logits)
    logits = _grouped(logits, groups)
    if border == "mask":
        inside = []
        for axis in (2, 3):
            low, high = value.size(axis), logits.size(axis)
            cell = cells(low, high).unsqueeze(0) + _column(value, kernel)
            inside.append((cell >= 0) & (cell < low))
        logits = outer(*inside).where(logits, -math.inf)
    return _reassembled(value, logits.softmax(1), kernel, groups, ratios)


def _column(x: Term, kernel: int) -> Term:
    """The offsets of taps, [K, 1]."""
    return x.body.constant([[offset] for offset in taps(kernel)], INT)


def carafe_reassembly_d_weight(d_output: Term, value: Term, kernel: int, groups: int) -> Term:
    """d_output [N, C, H, W], value [N, C, h, w] -> [N, groups K K, H, W]: the inner products of a pixel and of the K x K cells
    around its own (of SAPA: its scores), outside 0."""
    ratios, size = whole_ratios(value, d_output), (value.size(2), value.size(3))
    padded = _grouped(value.pad_map(kernel // 2, kernel // 2), groups)
    d_output = _grouped(d_output, groups)
    if ratios is not None:
        windows = _windows(padded, size, _square(kernel, kernel))
        products = _as_cells(d_output, size, ratios).matmul(windows.transpose(0, 1, 2, 4, 3))
        return _ungrouped(_as_pixels(products, size, ratios), groups)
    rows, columns = (_own_and_around(value, axis, d_output.size(axis), kernel) for axis in (2, 3))
    wide = [padded.gather(column, 3) for column in columns]
    return _ungrouped(concat([(d_output * part.gather(row, 2)).sum(1) for row in rows for part in wide], 1), groups)


def fns(value: Term, logits: Term, kernel: int, mask_ratio: int | None) -> Term:
    """value [N, C, h, w], logits [N, K K, H, W] -> [N, C, H, W]: the softmax-weighted sum of K x K bilinear samples, one cell
    apart; taps beyond the pixels leave the softmax. As a sum over the (K + 1) x (K + 1) cells that the samples share."""
    ratios = whole_ratios(value, logits)
    size = value.size(2), value.size(3)
    inside, positions = [], []
    for axis in (2, 3):
        low, high = value.size(axis), logits.size(axis)
        step, unit = (high, low) if mask_ratio is None else (mask_ratio, 1)
        tap = (high.range() * unit).unsqueeze(0) + _column(value, kernel) * step
        inside.append((tap >= 0) & (tap < (high - 1) * unit + 1))
        positions.append(centres(low, high))
    weight = outer(*inside).where(logits, -math.inf).softmax(1)
    weight = weight.reshape(0, kernel, kernel, logits.size(2), logits.size(3))
    (row, of_rows), (column, of_columns) = positions
    weight = _shared(_shared(weight, 1, of_rows.unsqueeze(1)), 2, of_columns)
    reach = kernel // 2
    if ratios is not None:
        # A pixel's first cell is the one before its own, or its own: K + 2 cells around are those of all pixels of a cell.
        for axis, base, low, high in ((1, row, size[0], logits.size(2)), (2, column, size[1], logits.size(3))):
            before = base < cells(low, high)
            none, one = [0] * 5, [int(each == axis) for each in range(5)]
            before = before.unsqueeze(1) if axis == 1 else before
            weight = before.where(weight.pad(none, one), weight.pad(one, none))
        weight = weight.reshape(0, (kernel + 2) ** 2, logits.size(2), logits.size(3))
        windows = _windows(replicate_pad(value, reach + 1, reach + 1), size, _square(kernel + 2, kernel + 2))
        return _as_pixels(_as_cells(weight, size, ratios).matmul(windows), size, ratios)
    weight = weight.reshape(0, (kernel + 1) ** 2, logits.size(2), logits.size(3))
    reads = [
        [(base + offset).clamp(0, length - 1) for offset in range(-reach, reach + 2)]
        for length, base in zip(size, (row, column))
    ]
    return window_sum(value, weight, *reads)


def _shared(weight: Term, axis: int, fraction: Term) -> Term:
    """weight [N, K, K, H, W] of samples between two cells -> K + 1 along axis, of cells."""
    none, one = [0] * 5, [int(each == axis) for each in range(5)]
    near, far = weight.pad(none, one), weight.pad(one, none)
    return near + (far - near) * fraction


def local_attention(value: Term, logits: Term) -> Term:
    """value [N, C, h, w], logits [N, T, H, W] -> [N, C, H, W]: the softmax-weighted sum of T cells of the 5 x 5 around the pixel's,
    the border repeated."""
    connected = CONNECTED[logits.shape[1]]
    places = [(i, j) for i, j in _square(5, 5) if connected(abs(i - 2), abs(j - 2))]
    ratios, size = whole_ratios(value, logits), (value.size(2), value.size(3))
    padded, weight = replicate_pad(value, 2, 2), logits.softmax(1)
    if ratios is not None:
        return _as_pixels(_as_cells(weight, size, ratios).matmul(_windows(padded, size, places)), size, ratios)
    rows, columns = (_own_and_around(value, axis, logits.size(axis), 5) for axis in (2, 3))
    return window_sum(padded, weight, rows, columns, places)


def _around(x: Term, kernel: int) -> list[Term]:
    """x of each of the K x K pixels around a pixel, row-major, [N, C, H, W]; beyond the map in mirrors."""
    H, W, reach = x.size(2), x.size(3), kernel // 2
    for axis, length in ((2, H), (3, W)):
        x = x.gather(mirrored((length + 2 * reach).range() - reach, length), axis)
    rows = [x.slice(2, i, H + i) for i in range(kernel)]
    return [row.slice(3, j, W + j) for row in rows for j in range(kernel)]


def adaptive_conv(value: Term, weight: Term, kernel: int) -> Term:
    """value [N, C, H, W], weight [N, K K, H, W] -> [N, C, H, W]: sums of the K x K pixels around, beyond the map in mirrors."""
    return total([tap * weight.take(t, 1) for t, tap in enumerate(_around(value, kernel))])


def range_weights(query: Term, key: Term, spatial: Term, kernel: int) -> Term:
    """query, key [N, D, H, W], spatial [K K] -> [N, K K, H, W]: softmax(query . key) spatial, normalised."""
    scores = concat([(query * tap).sum(1) for tap in _around(key, kernel)], 1)
    weights = scores.softmax(1) * spatial.unsqueeze(1, 2)
    return weights / weights.sum(1).most(1e-7)
