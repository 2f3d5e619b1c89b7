"""Cross-attention with a window of cells for every pixel, as its definition says it: scores of all pixels and all cells, a
mask, a softmax, in float64.

Windows are exact. Shifted and masked ones are integer arithmetic. The bounds of a ratio window are rational numbers:
fractions.Fraction takes the ratio as the double it is, and floor and ceil of what it makes of that are exact.
"""

import math
from fractions import Fraction

import torch
from torch import Tensor


def cross_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    heads: int = 1,
    window: str = "shifted",
    kernel: tuple[int, int] = (0, 0),
    ratio: float = 0.0,
    mean_heads: bool = False,
) -> Tensor:
    """query [N, heads d, H, W], key [N, heads d, h, w], value [N, C, h, w] -> [N, C, H, W]."""
    high, low = query.shape[2:], key.shape[2:]
    sides = [seen(window, m, n, K, ratio) for m, n, K in zip(high, low, kernel)]
    rows, columns = (side.to(query.device) for side in sides)
    mask = (rows[:, None, :, None] & columns[None, :, None, :]).reshape(math.prod(high), math.prod(low))
    q, k, v = (x.double().flatten(2) for x in (query, key, value))
    q, k = (x.unflatten(1, (heads, -1)) for x in (q, k))  # N, heads, d, pixels or cells
    scores = q.mT @ k / math.sqrt(q.shape[2])
    # 0 outside the window, of a pixel too whose weights are no numbers.
    weights = scores.masked_fill(~mask, -math.inf).softmax(-1).masked_fill(~mask, 0)
    output = v @ weights.mean(1).mT if mean_heads else (v.unflatten(1, (heads, -1)) @ weights.mT).flatten(1, 2)
    return output.unflatten(2, high).to(value.dtype)


def seen(window: str, m: int, n: int, K: int, ratio: float) -> Tensor:
    """[m, n]: which of n cells along an axis each of m pixels sees."""
    table = torch.zeros(m, n, dtype=torch.bool)
    for p in range(m):
        first, end = bounds(window, p, m, n, K, ratio)
        table[p, max(first, 0) : end] = True  # of a masked window, cells below 0 and from n on are outside
    return table


def bounds(window: str, p: int, m: int, n: int, K: int, ratio: float) -> tuple[int, int]:
    """The first cell that pixel p of m sees, and the first behind those it sees."""
    if window == "whole":
        return 0, n
    if window == "shifted":
        taps = min(K, n)
        first = min(max((2 * p + 1) * n // (2 * m) - K // 2, 0), n - taps)
        return first, first + taps
    if window == "masked":
        first = p * n // m - (K - 1) // 2
        return first, first + K
    assert window == "ratio"
    centre = Fraction(2 * p + 1, 2 * m)
    low, high = (min(max(end, Fraction(0)), Fraction(1)) for end in (centre - Fraction(ratio), centre + Fraction(ratio)))
    return math.floor(n * low), math.ceil(n * high)


def dilated_attention(query: Tensor, key: Tensor, value: Tensor, heads: int, kernel: tuple[int, int]) -> Tensor:
    """NAF as published: neighbourhood attention, dilated by s = floor(m/n), on key and value upsampled to the size of the
    query. Every pixel takes K x K of their pixels, a cell as often as it meets it. Shapes as of cross_attention."""
    high, low = query.shape[2:], key.shape[2:]
    rows, columns = (
        torch.tensor([dilated_cells(p, m, n, K) for p in range(m)]) for m, n, K in zip(high, low, kernel)
    )
    q, k, v = (x.double().unflatten(1, (heads, -1)) for x in (query, key, value))
    k, v = (x[:, :, :, rows[:, None, :, None], columns[None, :, None, :]] for x in (k, v))  # N, heads, d, H, W, K, K
    scores = torch.einsum("ngdyx,ngdyxij->ngyxij", q, k) / math.sqrt(q.shape[2])
    weights = scores.flatten(-2).softmax(-1).view_as(scores)
    return torch.einsum("ngyxij,ngcyxij->ngcyx", weights, v).flatten(1, 2).to(value.dtype)


def dilated_cells(p: int, m: int, n: int, K: int) -> list[int]:
    """The K cells of n, some of them the same, that pixel p of m sees along an axis."""
    s = m // n
    places = range(p % s, m, s)
    first = min(max(p // s - K // 2, 0), len(places) - K)
    return [(2 * t + 1) * n // (2 * m) for t in places[first : first + K]]
