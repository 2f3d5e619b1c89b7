"""Where taps and boxes read beyond a map, or between its pixels."""

import torch
from torch import Tensor


def mirrored(length: int, radius: int, border: str, device: torch.device) -> Tensor:
    """The pixels of a line with `radius` more at each end: c b | a b c ("reflect") or b a | a b c ("symmetric")."""
    places = torch.arange(-radius, length + radius, device=device)
    if border == "symmetric":
        places = places % (2 * length)
        return torch.minimum(places, 2 * length - 1 - places)
    places = places % max(2 * length - 2, 1)
    return torch.minimum(places, 2 * length - 2 - places).abs()


def read_at(x: Tensor, axis: int, numerators: Tensor, denominator: int) -> Tensor:
    """x at numerators / denominator along an axis: linear between pixels, the nearest one beyond the map."""
    last = x.shape[axis] - 1
    inside = numerators.clamp(0, last * denominator)
    first = inside.div(denominator, rounding_mode="floor")
    past = (inside - first * denominator).to(x.dtype) / denominator
    past = past.reshape([-1 if d == axis else 1 for d in range(x.dim())])
    near, far = x.index_select(axis, first), x.index_select(axis, (first + 1).clamp(max=last))
    return near + past * (far - near)
