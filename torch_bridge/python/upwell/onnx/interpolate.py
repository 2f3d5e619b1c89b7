"""Formulas of interpolation: bilinear, bicubic, nearest, and a learned place to read."""

from __future__ import annotations

from upwell.onnx.grid import along, cells, cells_by_scale, centres, centres_by_scale, read_linear
from upwell.onnx.term import FLOAT, Term, concat, total

CUBIC = -0.75  # torch's a


def _centres(value: Term, axis: int, high: Term, scale: float | None) -> tuple[Term, Term]:
    low = value.size(axis)
    return centres(low, high) if scale is None else centres_by_scale(low, high, scale)


def bilinear(value: Term, size: list[Term], scale_h: float | None, scale_w: float | None) -> Term:
    """value [N, C, h, w] -> [N, C, H, W]: pixel p between the cells around (p + 1/2) h/H - 1/2, the border repeated."""
    for axis, high, scale in ((2, size[0], scale_h), (3, size[1], scale_w)):
        value = read_linear(value, axis, *_centres(value, axis, high, scale))
    return value


def bicubic(value: Term, size: list[Term], scale_h: float | None, scale_w: float | None) -> Term:
    """value [N, C, h, w] -> [N, C, H, W]: as bilinear, of four cells along each axis."""
    for axis, high, scale in ((2, size[0], scale_h), (3, size[1], scale_w)):
        base, f = _centres(value, axis, high, scale)
        last = value.size(axis) - 1
        reads = []
        for offset, weight in zip(range(-1, 3), (_far(f + 1.0), _near(f), _near(1.0 - f), _far(2.0 - f))):
            reads.append(value.gather((base + offset).clamp(0, last), axis) * along(weight, axis))
        value = total(reads)
    return value


def _near(t: Term) -> Term:
    """Keys' kernel, t in 0 .. 1."""
    return (t * (CUBIC + 2) - (CUBIC + 3)) * t * t + 1.0


def _far(t: Term) -> Term:
    """Keys' kernel, t in 1 .. 2."""
    return ((t * CUBIC - 5 * CUBIC) * t + 8 * CUBIC) * t - 4 * CUBIC


def nearest(value: Term, size: list[Term], scale_h: float | None, scale_w: float | None) -> Term:
    """value [N, C, h, w] -> [N, C, H, W]: pixel p is cell floor(p h/H)."""
    for axis, high, scale in ((2, size[0], scale_h), (3, size[1], scale_w)):
        low = value.size(axis)
        value = value.gather(cells(low, high) if scale is None else cells_by_scale(low, high, scale), axis)
    return value


def pixel_shuffle(x: Term, scale: int) -> Term:
    """x [N, C scale^2, h, w] -> [N, C, scale h, scale w]."""
    if scale == 1:
        return x
    N, _, h, w = x.sizes()
    split = x.reshape(N, -1, scale, scale, h, w).transpose(0, 1, 4, 2, 5, 3)
    return split.reshape(N, -1, h * scale, w * scale)


def index_unpool(value: Term, index: Term, scale: int, groups: int) -> Term:
    """value [N, C, h, w], index [N, groups, H, W], or [N, groups scale^2, h, w] -> [N, C, H, W]: cells times indices."""
    index = pixel_shuffle(index, scale)
    N, _, H, W = index.sizes()
    high = nearest(value, [H, W], None, None)
    return (high.reshape(N, groups, -1, H, W) * index.unsqueeze(2)).reshape(N, -1, H, W)


def sample_at_offsets(value: Term, offsets: Term, scale: int, groups: int, high_res: bool) -> Term:
    """value [N, C, h, w], offsets [N, 2 groups scale^2, h, w], or high_res [N, 2 groups, H, W] -> [N, C, H, W]: the bilinear
    sample at p div scale + offset(p), clamped to the map."""
    N, _, h, w = value.sizes()
    H, W = h * scale, w * scale
    planes = (offsets if high_res else pixel_shuffle(offsets, scale)).reshape(N, 2, groups, H, W)
    grid = []
    for place, (axis, low, high) in enumerate(((3, w, W), (2, h, H))):
        centre = cells(low, high).to(FLOAT) + 0.5
        position = planes.take(place, 1).squeeze(1) + along(centre, axis)
        grid.append((position * 2.0 / low.to(FLOAT) - 1.0).reshape(-1, H, W, 1))
    sampled = value.reshape(N * groups, -1, h, w).grid_sample(concat(grid, 3))
    return sampled.reshape(N, -1, H, W)
