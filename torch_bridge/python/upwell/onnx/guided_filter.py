"""Formulas of the guided filter, per channel and with a colour guide."""

from __future__ import annotations

from collections.abc import Callable

from upwell.onnx.grid import between, mirrored, read_linear
from upwell.onnx.interpolate import bilinear
from upwell.onnx.term import Term, total


def guided_filter(
    guide: Term, input: Term, radius: int, eps: float, scale: int, centred: bool, border: str
) -> Term:
    """guide [N, D, H, W], input [N, D, h, w] -> [N, D, H, W]: mean(a) guide + mean(b), a and b fitted in every box, on every
    scale-th pixel."""
    mean = _box_mean(radius // scale, border)
    I, p = _samples(guide, input, scale)
    mean_I, mean_p = mean(I), mean(p)
    a = (mean(I * p) - mean_I * mean_p) / (mean(I * I) - mean_I * mean_I + eps)
    b = mean_p - a * mean_I
    a, b = (_put_back(mean(fit), guide, scale, centred) for fit in (a, b))
    return a * guide + b


def colour_guided_filter(
    guide: Term, input: Term, radius: int, eps: float, scale: int, centred: bool, border: str
) -> Term:
    """guide [N, 3, H, W], input [N, C, h, w] -> [N, C, H, W]: as guided_filter, with a product of three channels in place of a
    guide. Upwell's factors of the systems of 3 x 3."""
    mean = _box_mean(radius // scale, border)
    I, p = _samples(guide, input, scale)
    colours, mean_p = [I.take(c, 1) for c in range(3)], mean(p)
    means = [mean(colour) for colour in colours]

    def variance(i: int, j: int) -> Term:
        return mean(colours[i] * colours[j]) - means[i] * means[j]

    S = {(i, j): variance(i, j) + eps if i == j else variance(i, j) for i in range(3) for j in range(i, 3)}
    # S = L D L'; no D is less than eps, but for rounding.
    d_0 = S[0, 0].most(eps)
    L_10, L_20 = S[0, 1] / d_0, S[0, 2] / d_0
    d_1 = (S[1, 1] - L_10 * S[0, 1]).most(eps)
    rest = S[1, 2] - L_10 * S[0, 2]
    L_21 = rest / d_1
    d_2 = (S[2, 2] - L_20 * S[0, 2] - L_21 * rest).most(eps)
    v = [mean(colour * p) - m * mean_p for colour, m in zip(colours, means)]
    y_1 = v[1] - L_10 * v[0]
    a_2 = (v[2] - L_20 * v[0] - L_21 * y_1) / d_2
    a_1 = y_1 / d_1 - L_21 * a_2
    a = [v[0] / d_0 - L_10 * a_1 - L_20 * a_2, a_1, a_2]
    b = mean_p - total([fit * m for fit, m in zip(a, means)])
    *a, b = (_put_back(mean(fit), guide, scale, centred) for fit in (*a, b))
    return total([fit * guide.take(c, 1) for c, fit in enumerate(a)]) + b


def _samples(guide: Term, input: Term, scale: int) -> tuple[Term, Term]:
    """Every scale-th pixel of the guide, floor(H/scale) rows (at least one), and of the upsampled input."""
    input = bilinear(input, [guide.size(2), guide.size(3)], None, None)
    return tuple(_subsample(x, scale) for x in (guide, input))


def _subsample(x: Term, scale: int) -> Term:
    if scale == 1:
        return x
    for axis in (2, 3):
        x = x.gather((x.size(axis) // scale).most(1).range() * scale, axis)
    return x


def _box_mean(R: int, border: str) -> Callable[[Term], Term]:
    """[N, D, h, w] -> the same: means of (2 R + 1) x (2 R + 1) pixels, of those in the map, or beyond it in mirrors."""
    side = 2 * R + 1

    def mean(x: Term) -> Term:
        if R == 0:
            return x
        if border != "inside":
            for axis in (2, 3):
                length = x.size(axis)
                x = x.gather(mirrored((length + 2 * R).range() - R, length, border == "symmetric"), axis)
        return x.average_pool(side, 1, border == "inside").average_pool(1, side, border == "inside")

    return mean


def _put_back(x: Term, guide: Term, scale: int, centred: bool) -> Term:
    """x [N, D, h, w] -> [N, D, H, W]: each sample at the pixel that it came from, or at the centre of scale x scale."""
    size = [guide.size(2), guide.size(3)]
    if scale == 1:
        return x
    if not centred:
        return bilinear(x, size, None, None)
    for axis, high in ((2, size[0]), (3, size[1])):
        place = high.range().least((x.size(axis) - 1) * scale)
        x = read_linear(x, axis, *between(place, scale))
    return x
