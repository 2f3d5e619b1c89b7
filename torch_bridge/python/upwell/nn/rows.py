"""A map made a few rows at a time, where making a row takes much more memory than the row itself."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

MOST = 2**24  # elements that the rows of a chunk may take: 64 MiB in float32


def in_chunks_of_rows(of_rows: Callable[[int, int], Tensor], count: int, elements: int) -> Tensor:
    """The rows 0 .. count - 1 of a map [N, C, count, W].

    Args:
        of_rows: first row and end -> [N, C, end - first, W]. While gradients are recorded, a chunk keeps nothing of what
            it made on the way: the backward pass calls of_rows again.
        elements: that making a row takes.
    """
    step = max(1, MOST // max(1, elements))
    if step >= count:
        return of_rows(0, count)
    chunks = [(first, min(first + step, count)) for first in range(0, count, step)]
    if torch.is_grad_enabled():
        made = [checkpoint(of_rows, *chunk, use_reentrant=False, preserve_rng_state=False) for chunk in chunks]
    else:
        made = [of_rows(*chunk) for chunk in chunks]
    return torch.cat(made, 2)
