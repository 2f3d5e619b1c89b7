"""The reassembly operators: how many taps they have, and what the lowering to a window makes of them."""

from dataclasses import dataclass

from torch import ops

from upwell.build import described
from upwell.compiled import check_kernel
from upwell.nn.check import check, check_odd


@dataclass(frozen=True)
class Taps:
    """kernel x kernel taps one low-res cell apart, each a blend of reach x reach low-res cells, and the window of side x
    side cells that they read together."""

    kernel: int
    reach: int
    side: int
    listed: int = 0  # taps at some of the places; 0: at all

    @classmethod
    def of(cls, operator: str, kernel: int) -> "Taps":
        """What the library's lowering makes of an operator's taps."""
        window = operators()[operator]["windows"][0]
        listed = len(window["offsets"])
        return cls(window["side"] if listed else kernel, *ops.upwell.window(operator, kernel), listed)

    @property
    def count(self) -> int:
        return self.listed or self.kernel**2

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


def operators() -> dict[str, dict]:
    """What the descriptions of all operators say, by name."""
    return {operator["name"]: operator for operator in described()}


def check_runs(name: str, kernel: int) -> None:
    """There should be kernels of so many taps per side: figures of what cannot run would mislead."""
    if operators()[name]["kernel"] is not None:
        check_kernel(name, "kernel", kernel, ops.upwell.kernels(name))


def describe(name: str, kernel: int, ratio: int) -> dict[str, object]:
    """Label -> figure. ValueError for a kernel or ratio that cannot be."""
    operator = operators()[name]
    check_odd(name, "kernel", kernel)
    check(operator["kernel"] is not None or kernel == 1, f"{name}: kernel should be 1 but is {kernel}")
    check(ratio > 0, f"{name}: ratio should be positive but is {ratio}")
    taps = Taps.of(name, kernel)
    window = operator["windows"][0]
    weights = {"constant": "1", "none": "as given", "softmax": "softmax"}[window["normaliser"]]
    if operator["scores"]:
        weights += " of query . key" + (" + bias" if operator["bias"] else "")
    found = {
        "operator": name,
        "kernel": taps.kernel,
        "ratio": ratio,
        "arguments": ", ".join(f"{each['name']} [{each['sizes']}]" for each in operator["maps"]),
        "weights": weights,
        "border": " or ".join(operator["borders"]) or window["border"],
        "kernels built for": ", ".join(map(str, ops.upwell.kernels(name))) or "none",
        "taps": taps.count,
        "low-res cells per tap": taps.reach**2,
        "window": f"{taps.side} x {taps.side}",
        "multiply-adds per output element, as written": taps.as_written,
        "multiply-adds per output element, lowered": taps.window,
        "window cells per output element, each shared by ratio x ratio": round(taps.window / ratio**2, 4),
    }
    if operator["scores"]:  # the products go over the same cells, for each channel of the key
        found["multiply-adds per pixel and channel of the key"] = taps.window
    return found


def matrix(name: str, kernel: int) -> dict[str, list]:
    """L of one axis: the weight of each tap in each cell, as coefficients of a polynomial of the pixel's phase."""
    check_odd(name, "kernel", kernel)
    first, coefficients = ops.upwell.window_matrix(name, kernel)
    taps = Taps.of(name, kernel)
    kernel, side = taps.kernel, taps.side
    degree = len(coefficients) // (kernel * side)
    rows = [coefficients[i : i + degree] for i in range(0, len(coefficients), degree)]
    return {
        "taps": list(range(-(kernel // 2), kernel // 2 + 1)),
        "cells": list(range(first, first + side)),
        "weights": [rows[tap * side : (tap + 1) * side] for tap in range(kernel)],
    }
