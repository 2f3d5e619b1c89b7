"""Costs, and what one torch operation costs.

A multiply-add counts 1, and so does an addition, multiplication, division or exponential alone;
comparisons (ReLU, masks, maxima) count 0. An operation reads the elements it needs once and writes its
output once; parameters (0.2 MB in all) are left out.
"""

from dataclasses import dataclass

BYTES_PER_ELEMENT = 4  # float32


@dataclass(frozen=True)
class Cost:
    """Of one forward pass.

    multiply_adds: all arithmetic, as above.
    moved: elements read and written.
    paper: what the counter behind the paper's Tables VIII and IX sees: 1 a multiply-add of a convolution,
        5 an element of a GroupNorm, 4 an element of a bilinear upsampling, and nothing else. Found by
        fitting: with it the model gives all eight rows of Table VIII to 0.01 G.
    """

    multiply_adds: int = 0
    moved: int = 0
    paper: int = 0

    @property
    def bytes(self) -> int:
        return BYTES_PER_ELEMENT * self.moved

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(
            self.multiply_adds + other.multiply_adds, self.moved + other.moved, self.paper + other.paper
        )

    def __rmul__(self, times: int) -> "Cost":
        return Cost(times * self.multiply_adds, times * self.moved, times * self.paper)


@dataclass(frozen=True)
class Stage:
    """A part of an operator: its cost as published and after Upwell's rewrites."""

    name: str
    published: Cost
    rewritten: Cost


def total(*costs: Cost) -> Cost:
    return sum(costs, Cost())


def convolution(inputs: int, outputs: int, products: int) -> Cost:
    """Elements in and out, multiply-adds per element out."""
    return Cost(outputs * products, inputs + outputs, outputs * products)


def group_norm(elements: int) -> Cost:
    """Sum, sum of squares, scale and shift."""
    return Cost(3 * elements, 2 * elements, 5 * elements)


def bilinear(inputs: int, outputs: int) -> Cost:
    """2 x 2 cells an element."""
    return Cost(4 * outputs, inputs + outputs, 4 * outputs)


def elementwise(elements: int, inputs: int = 1, work: int = 1) -> Cost:
    """An operation on `inputs` maps of as many elements, `work` an element."""
    return Cost(work * elements, (inputs + 1) * elements)


def copy(read: int, written: int) -> Cost:
    return Cost(0, read + written)
