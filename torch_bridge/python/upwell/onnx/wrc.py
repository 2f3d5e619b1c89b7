"""Formulas of weighted reverse convolution (WRC). Fourier transforms are products with matrices of cosines and sines: not every
runtime has ONNX's DFT."""

from __future__ import annotations

import math
from dataclasses import dataclass

from upwell.onnx.grid import along, between, taps
from upwell.onnx.term import FLOAT, Term, total


def wrc_data(x: Term, response: Term) -> tuple[Term, Term]:
    """x, response [N, C, h, w] -> log1p(response^2), and that times x."""
    weight = _log1p_of_square(response)
    return weight, weight * x


def wrc_prior(x: Term, mixed: Term, lam: Term, scale: int) -> tuple[Term, Term]:
    """x [N, C, h, w], mixed [N, C*9, h, w], lam [C] -> two [N, C, H, W]: log1p(u^2) + lam, u the sum over 3 x 3 taps d of mixed's
    upsampling at p + d, outside 0; and that times x's upsampling (align_corners=True)."""
    N, _, h, w = x.sizes()
    of_taps = mixed.reshape(N, -1, 9, h, w)
    parts = []
    for down in taps(3):
        for across in taps(3):
            tap = of_taps.take(3 * down + across + 4, 2).squeeze(2)
            parts.append(_read_upsampled(_read_upsampled(tap, 2, scale, down), 3, scale, across))
    precision = _log1p_of_square(total(parts)) + lam.unsqueeze(1, 2)
    return precision, precision * _read_upsampled(_read_upsampled(x, 2, scale, 0), 3, scale, 0)


def _read_upsampled(x: Term, axis: int, scale: int, offset: int) -> Term:
    """The upsampling along an axis, corners aligned, at p + offset; outside 0."""
    low = x.size(axis)
    high = low * scale
    place = high.range() + offset
    base, fraction = between(place.clamp(0, high - 1) * (low - 1), (high - 1).most(1))
    near, far = x.gather(base, axis), x.gather((base + 1).least(low - 1), axis)
    read = near + (far - near) * along(fraction, axis)
    return read if offset == 0 else read * along(((place >= 0) & (place < high)).to(FLOAT), axis)


def _log1p_of_square(x: Term) -> Term:
    return (x * x + 1.0).log()


@dataclass
class Spectrum:
    """A complex map."""

    re: Term
    im: Term

    def __add__(self, other: Spectrum) -> Spectrum:
        return Spectrum(self.re + other.re, self.im + other.im)

    def __sub__(self, other: Spectrum) -> Spectrum:
        return Spectrum(self.re - other.re, self.im - other.im)

    def __mul__(self, other: Spectrum) -> Spectrum:
        return Spectrum(self.re * other.re - self.im * other.im, self.re * other.im + self.im * other.re)

    def conjugate(self) -> Spectrum:
        return Spectrum(self.re, -self.im)

    def each(self, function) -> Spectrum:
        return Spectrum(function(self.re), function(self.im))


def wrc_spectral(
    precision: Term, weighted: Term, data_weight: Term, data: Term, weight: Term, scale: int, centre: str
) -> Term:
    """precision, weighted [N, C, H, W], data_weight, data [N, C, h, w], weight [C, K, K] -> [N, C, H, W]: the published closed
    form."""
    h, w = data.size(2), data.size(3)
    H, W = h * scale, w * scale
    K = [weight.size(1), weight.size(2)]
    half = [length // 2 for length in ((H, W) if centre == "image" else K)]

    def fold(a: Term) -> Term:
        return a.reshape(0, 0, scale, h, scale, w).mean(2, 4).squeeze(2, 4)

    def tiled(a: Term) -> Term:
        return a.tile(1, 1, scale, scale)

    # Element a of the weight lies at pixel (a - half) mod length.
    places = [(k.range() + length - n) % length for k, length, n in zip(K, (H, W), half)]
    B = _transform(weight.unsqueeze(0), (H, W), places)
    data_spectrum = _transform(data, (h, w), (h.range(), w.range())).each(tiled)  # of the data with zeros between
    R = B.conjugate() * data_spectrum + _transform(weighted, (H, W), (H.range(), W.range()))
    power = B.re * B.re + B.im * B.im
    denominator = data_weight * fold(power) + fold(precision)
    M = (B * R).each(lambda part: tiled(data_weight * fold(part) / denominator))
    X = (R - B.conjugate() * M).each(lambda part: part / precision)
    rows, columns = (_waves(length, length.range(), length) for length in (H, W))
    # The real part of the inverse transform: as the transform, of conjugate waves.
    inner = Spectrum(
        X.re.matmul(columns.re) + X.im.matmul(columns.im), X.im.matmul(columns.re) - X.re.matmul(columns.im)
    )
    real = rows.re.matmul(inner.re) + rows.im.matmul(inner.im)
    return real / (H * W).to(FLOAT)


def _waves(count: Term, places: Term, length: Term) -> Spectrum:
    """[count, places]: exp(-2 pi i k place/length). Whole turns are taken off in integers."""
    turns = count.range().unsqueeze(1) * places.unsqueeze(0) % length
    angle = turns.to(FLOAT) * (-2 * math.pi) / length.to(FLOAT)
    return Spectrum(angle.cos(), angle.sin())


def _transform(x: Term, size: tuple[Term, Term], places: tuple[Term, Term]) -> Spectrum:
    """x [N, C, n, m], real, whose rows and columns lie at places of a map of size -> [N, C, *size]."""
    rows, columns = (_waves(length, place, length) for length, place in zip(size, places))
    across = columns.each(lambda part: x.matmul(part.transpose(1, 0)))
    return Spectrum(
        rows.re.matmul(across.re) - rows.im.matmul(across.im), rows.re.matmul(across.im) + rows.im.matmul(across.re)
    )
