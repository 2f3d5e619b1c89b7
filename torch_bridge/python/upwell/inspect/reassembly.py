"""The reassembly operators: how many taps they have, and what the lowering to a window makes of them."""

from dataclasses import dataclass

from upwell.nn.check import check, check_odd


@dataclass(frozen=True)
class Taps:
    """kernel x kernel taps one low-res cell apart, each a blend of reach x reach low-res cells."""

    kernel: int
    reach: int  # 1: nearest, 2: bilinear

    @property
    def count(self) -> int:
        return self.kernel**2

    @property
    def as_written(self) -> int:
        """Multiply-adds per output element, tap by tap."""
        return self.count * self.reach**2

    @property
    def side(self) -> int:
        """Of the window: a tap's neighbour reads the same cells, shifted by one."""
        return self.kernel + self.reach - 1

    @property
    def window(self) -> int:
        """Cells of the window: multiply-adds per output element after the lowering."""
        return self.side**2

    @property
    def lowering(self) -> int:
        """Multiply-adds per pixel (for all channels) from taps' to window's weights: columns, then rows."""
        return 0 if self.reach == 1 else self.reach * self.kernel * (self.kernel + self.side)


@dataclass(frozen=True)
class Operator:
    """A reassembly operator: the reach of its taps and its usual kernel, the only one if it is fixed."""

    reach: int
    kernel: int
    fixed: bool = False

    def taps(self, kernel: int) -> Taps:
        return Taps(kernel, self.reach)


OPERATORS = {
    "fns": Operator(reach=2, kernel=3),
    "carafe": Operator(reach=1, kernel=5),
    "bilinear": Operator(reach=2, kernel=1, fixed=True),
    "nearest": Operator(reach=1, kernel=1, fixed=True),
}


def describe(name: str, kernel: int, ratio: int) -> dict[str, object]:
    """Label -> figure. ValueError for a kernel or ratio that cannot be."""
    operator = OPERATORS[name]
    check_odd(name, "kernel", kernel)
    check(not operator.fixed or kernel == operator.kernel, f"{name}: kernel should be 1 but is {kernel}")
    check(ratio > 0, f"{name}: ratio should be positive but is {ratio}")
    taps = operator.taps(kernel)
    return {
        "operator": name,
        "kernel": kernel,
        "ratio": ratio,
        "taps": taps.count,
        "low-res cells per tap": taps.reach**2,
        "window": f"{taps.side} x {taps.side}",
        "multiply-adds per output element, as written": taps.as_written,
        "multiply-adds per output element, lowered": taps.window,
        "window cells per output element, each shared by ratio x ratio": round(taps.window / ratio**2, 4),
    }
