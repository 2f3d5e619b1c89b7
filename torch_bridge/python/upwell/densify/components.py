"""Features as colours: their first three principal components, found once and used for every map beside each other."""

from typing import NamedTuple

import torch
from torch import Tensor


class Projection(NamedTuple):
    centre: Tensor  # [C]
    components: Tensor  # [3, C], orthonormal
    low: Tensor  # [3], what is drawn black
    high: Tensor  # [3], what is drawn in full


SHARE = 0.01  # of the cells at either end that are drawn as the last one before them


def find_projection(features: Tensor) -> Projection:
    """features [C, h, w], C and the number of cells at least 3. Signs are chosen so that a component's largest number is
    positive: the same features have the same colours everywhere."""
    cells = features.flatten(1).T.double()
    centre = cells.mean(0)
    components = torch.linalg.svd(cells - centre, full_matrices=False).Vh[:3]
    largest = components.gather(1, components.abs().argmax(1, keepdim=True))
    components = components * largest.sign()
    ends = torch.quantile((cells - centre) @ components.T, torch.tensor([SHARE, 1 - SHARE], dtype=cells.dtype), dim=0)
    return Projection(*(each.to(features.dtype) for each in (centre, components, *ends)))


def colours(features: Tensor, projection: Projection) -> Tensor:
    """features [C, h, w] -> [h, w, 3] in 0 .. 1."""
    values = torch.einsum("kc,chw->hwk", projection.components, features - projection.centre[:, None, None])
    return ((values - projection.low) / (projection.high - projection.low).clamp_min(1e-12)).clamp(0, 1)
