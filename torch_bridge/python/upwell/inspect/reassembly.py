"""The reassembly operators: how many taps they have, and what the lowering to a window makes of them."""

from dataclasses import dataclass

from torch import ops

from upwell.nn.check import check, check_odd


@dataclass(frozen=True)
class Taps:
    """kernel x kernel taps one low-res cell apart, each a blend of reach x reach low-res cells, and the window of side x
    side cells that they read together."""

    kernel: int
    reach: int
    side: int

    @classmethod
    def of(cls, operator: str, kernel: int) -> "Taps":
        """What the library's lowering makes of an operator's taps."""
        return cls(kernel, *ops.upwell.window(operator, kernel))

    @property
    def count(self) -> int:
        return self.kernel**2

    @property
    def as_written(self) -> int:
        """Multiply-adds per output element, tap by tap."""
        return self.count * self.reach**2

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
    """A reassembly operator's usual kernel, the only one if it is fixed."""

    kernel: int
    fixed: bool = False


OPERATORS = {
    "fns": Operator(kernel=3),
    "carafe": Operator(kernel=5),
    "bilinear": Operator(kernel=1, fixed=True),
    "nearest": Operator(kernel=1, fixed=True),
}


def describe(name: str, kernel: int, ratio: int) -> dict[str, object]:
    """Label -> figure. ValueError for a kernel or ratio that cannot be."""
    check_odd(name, "kernel", kernel)
    check(not OPERATORS[name].fixed or kernel == 1, f"{name}: kernel should be 1 but is {kernel}")
    check(ratio > 0, f"{name}: ratio should be positive but is {ratio}")
    taps = Taps.of(name, kernel)
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
