"""NAF's published window at ratios that are no integers: neighbourhood attention dilated by floor(H/h) on keys and values
upsampled to the query's size, without upsampling them."""

import torch
import torch.nn.functional as F
from torch import Tensor

from upwell.nn.rows import in_chunks_of_rows


def dilated_attention(query: Tensor, key: Tensor, value: Tensor, heads: int, kernel: int) -> Tensor:
    """query [N, heads d, H, W], key [N, heads d, h, w], value [N, C, h, w] -> [N, C, H, W].

    A pixel takes K x K pixels of the upsampled map, and may meet a cell more than once. Met n times, the cell has n equal
    shares of the softmax, which is one share whose score is larger by log(n); not met, its score is -inf. So it is
    attention to whole rows of cells with a sum of two tables in place of a mask, in chunks of pixel rows, each with the rows
    of cells that it meets. Torch's operations, on any device; H >= h, and kernel * floor(H/h) <= H, and so for W.
    """
    (N, _, H, W), (h, w) = query.shape, key.shape[2:]
    rows = dilated_cells(h, H, kernel)
    row_shares, column_shares = (
        _log_counts(cells, n).to(query) for cells, n in ((rows, h), (dilated_cells(w, W, kernel), w))
    )
    query, key, value = (x.unflatten(1, (heads, -1)) for x in (query, key, value))  # N, heads, channels, rows, columns

    def of_rows(first: int, end: int) -> Tensor:
        top, bottom = rows[first:end].min().item(), rows[first:end].max().item() + 1
        shares = row_shares[first:end, None, top:bottom, None] + column_shares[:, None, :]  # R, W, cell rows, w
        output = F.scaled_dot_product_attention(
            query[..., first:end, :].flatten(3).mT,
            key[..., top:bottom, :].flatten(3).mT,
            value[..., top:bottom, :].flatten(3).mT,
            shares.flatten(2).flatten(0, 1),
        )
        return output.mT.unflatten(3, (end - first, W)).flatten(1, 2)

    return in_chunks_of_rows(of_rows, H, (N * heads + 1) * W * min(h, kernel + 1) * w)


def dilated_cells(n: int, m: int, kernel: int) -> Tensor:
    """[m, kernel]: the cells of n that each of m pixels meets along an axis, some more than once."""
    step = m // n
    p = torch.arange(m)
    places = (m - p % step + step - 1) // step  # p mod step, and every step-th from there
    first = torch.minimum((p // step - kernel // 2).clamp_min(0), places - kernel)
    met = (p % step)[:, None] + step * (first[:, None] + torch.arange(kernel))
    return (2 * met + 1) * n // (2 * m)


def _log_counts(cells: Tensor, n: int) -> Tensor:
    """[m, n]: the logarithm of how often each pixel meets each cell, in float64."""
    counts = torch.zeros(len(cells), n, dtype=torch.float64)
    return counts.scatter_add_(1, cells, torch.ones_like(cells, dtype=torch.float64)).log()
