"""Where pixels lie among cells, along an axis of low cells and high pixels (both numbers known at run time)."""

from __future__ import annotations

import re

import sympy

from upwell.onnx.term import FLOAT, INT, Term


def whole_ratio(low: Term, high: Term, axis: int) -> int | None:
    """The pixels of a cell along an axis of two maps, where the graph tells that it is a whole number: 4 of s and 4*s."""
    if low.shape is None or high.shape is None:
        return None
    below, above = (str(getattr(length, "value", length)) for length in (low.shape[axis], high.shape[axis]))
    if "None" in (below, above):
        return None
    names = set(re.findall(r"[A-Za-z_]\w*\b(?!\()", below + " " + above))  # some are sympy's own, as N
    ratio = sympy.sympify(f"({above})/({below})", {name: sympy.Symbol(name) for name in names})
    return int(ratio) if ratio.is_Integer else None


def whole_ratios(low: Term, high: Term) -> tuple[int, int] | None:
    """Of rows and of columns, where both are known to be whole numbers."""
    ratios = tuple(whole_ratio(low, high, axis) for axis in (2, 3))
    return None if None in ratios else ratios


def cells(low: Term, high: Term) -> Term:
    """[high]: the cell floor(p low/high) of each pixel."""
    return high.range() * low // high


def centres(low: Term, high: Term) -> tuple[Term, Term]:
    """[high], [high]: the cell below u(p) = (p + 1/2) low/high - 1/2, -1 at the least, and the fraction of the way to the next."""
    ahead = (high.range() * 2 + 1) * low + high  # 2 high (u(p) + 1)
    base = ahead // (high * 2)
    return base - 1, (ahead - base * (high * 2)).to(FLOAT) / (high * 2).to(FLOAT)


def centres_by_scale(low: Term, high: Term, scale: float) -> tuple[Term, Term]:
    """The same with 1/scale in place of low/high, in float32, as torch has it."""
    place = (high.range().to(FLOAT) + 0.5) * (1 / scale) - 0.5
    base = place.floor()
    return base.to(INT).least(low - 1), place - base


def cells_by_scale(low: Term, high: Term, scale: float) -> Term:
    """floor(p/scale) as torch rounds it to float32; where high is low or 2 low it takes floor(p low/high)."""
    exact = cells(low, high)
    if scale == int(scale):
        return exact
    rounded = (high.range().to(FLOAT) * (1 / scale)).floor().to(INT).least(low - 1)
    return (high.equals(low) | high.equals(low * 2)).where(exact, rounded)


def between(numerator: Term, denominator: Term | int) -> tuple[Term, Term]:
    """numerator/denominator, neither negative, as a whole part and a fraction."""
    base = numerator // denominator
    rest = numerator - base * denominator
    return base, rest.to(FLOAT) / (denominator.to(FLOAT) if isinstance(denominator, Term) else float(denominator))


def mirrored(places: Term, length: Term, twice: bool = False) -> Term:
    """Places around 0 .. length - 1 as places inside, the map going on in mirrors: c b | a b c, or b a | a b c, with the edge
    twice. Any distance."""
    if twice:
        before = (places < 0).where(-places - 1, places) % (length * 2)
        return before.least(length * 2 - 1 - before)
    last = length - 1
    before = places.abs() % (last * 2).most(1)
    return before.least(last * 2 - before).abs()


def along(numbers: Term, axis: int) -> Term:
    """[m] as a factor of rows (axis 2) or columns (axis 3) of a map."""
    return numbers.unsqueeze(1) if axis == 2 else numbers


def read_linear(x: Term, axis: int, base: Term, fraction: Term) -> Term:
    """x between the places base and base + 1 of an axis; the border repeated."""
    last = x.size(axis) - 1
    near, far = (x.gather(place.clamp(0, last), axis) for place in (base, base + 1))
    return near + (far - near) * along(fraction, axis)


def replicate_pad(x: Term, rows: int, columns: int) -> Term:
    """x [N, C, h, w] -> [N, C, h + 2 rows, w + 2 columns], the border repeated."""
    for axis, count in ((2, rows), (3, columns)):
        length = x.size(axis)
        x = x.gather(((length + 2 * count).range() - count).clamp(0, length - 1), axis)
    return x


def taps(kernel: int) -> range:
    """Offsets along an axis."""
    return range(-(kernel // 2), kernel // 2 + 1)


def outer(rows: Term, columns: Term) -> Term:
    """[K, H] and [K, W], bool -> [K*K, H, W]: both hold."""
    both = rows.unsqueeze(1, 3) & columns.unsqueeze(0, 2)
    return both.reshape(-1, rows.size(1), columns.size(1))
