"""Tensors of a formula: arithmetic on them writes the nodes of an ONNX function.

The operators that formulas are made of are those below and no others: ones on which runtimes agree. What they have corner cases
in (Resize, GridSample, reflecting Pad, division of negative integers) is written with indices that follow from shapes.
"""

from __future__ import annotations

from collections.abc import Sequence

from onnx_ir import DataType, Node, Shape, Value, tensor
from onnx_ir.convenience import convert_attributes

FLOAT, DOUBLE, INT, BOOL = DataType.FLOAT, DataType.DOUBLE, DataType.INT64, DataType.BOOL
END = 2**31 - 1  # of a slice: all that is there


class Body:
    """The nodes of a function, in order."""

    def __init__(self):
        self.nodes: list[Node] = []
        self.inputs: dict[str, Term] = {}
        self._kept: dict[tuple, Term] = {}

    def node(self, op_type: str, inputs: Sequence[Term | None], dtype: DataType, **attributes) -> Term:
        value = Value(name=f"v{len(self.nodes)}")
        given = [None if term is None else term.value for term in inputs]
        self.nodes.append(Node("", op_type, given, convert_attributes(attributes), outputs=[value]))
        return Term(self, value, dtype)

    def constant(self, number: object, dtype: DataType) -> Term:
        """A number, or a list of them as a vector."""
        key = (str(number), dtype)
        if key not in self._kept:
            self._kept[key] = self.node("Constant", [], dtype, value=tensor(number, dtype))
        return self._kept[key]

    def vector(self, numbers: Sequence[int | Term]) -> Term:
        """Integers, of which some are known only at run time."""
        if all(isinstance(number, int) for number in numbers):
            return self.constant(list(numbers), INT)
        parts = [
            self.constant([number], INT) if isinstance(number, int) else number.unsqueeze(0) for number in numbers
        ]
        return concat(parts, 0)


class Term:
    """A tensor. With numbers it computes in its own dtype.

    shape: of an argument of the formula, what the graph tells: an integer or a symbolic expression for each axis.
    """

    def __init__(self, body: Body, value: Value, dtype: DataType, shape: Shape | None = None):
        self.body, self.value, self.dtype, self.shape = body, value, dtype, shape
        self._lengths: dict[int, Term] = {}

    def _node(self, op_type: str, *inputs: Term | None, dtype: DataType | None = None, **attributes) -> Term:
        return self.body.node(op_type, (self, *inputs), self.dtype if dtype is None else dtype, **attributes)

    def _like(self, other: Term | float) -> Term:
        return other if isinstance(other, Term) else self.body.constant(other, self.dtype)

    def _axes(self, *axes: int) -> Term:
        return self.body.constant(list(axes), INT)

    def __add__(self, other):
        return self._node("Add", self._like(other))

    def __sub__(self, other):
        return self._node("Sub", self._like(other))

    def __rsub__(self, other):
        return self._like(other)._node("Sub", self)

    def __mul__(self, other):
        return self._node("Mul", self._like(other))

    def __truediv__(self, other):
        return self._node("Div", self._like(other))

    def __rtruediv__(self, other):
        return self._like(other)._node("Div", self)

    def __floordiv__(self, other):
        """Of integers of which none is negative: what is rounded down and what is cut off are the same."""
        return self._node("Div", self._like(other))

    def __mod__(self, other):
        """As // of integers of which none is negative."""
        return self - self // other * other

    def __neg__(self):
        return self._node("Neg")

    def __lt__(self, other):
        return self._node("Less", self._like(other), dtype=BOOL)

    def __ge__(self, other):
        return self._node("GreaterOrEqual", self._like(other), dtype=BOOL)

    def equals(self, other):
        return self._node("Equal", self._like(other), dtype=BOOL)

    def __and__(self, other):
        return self._node("And", other)

    def __or__(self, other):
        return self._node("Or", other)

    def where(self, chosen: Term, other: Term | float) -> Term:
        """chosen where self, which is bool, holds, else other."""
        return self.body.node("Where", (self, chosen, chosen._like(other)), chosen.dtype)

    def least(self, other):
        return self._node("Min", self._like(other))

    def most(self, other):
        return self._node("Max", self._like(other))

    def clamp(self, low, high):
        return self.most(low).least(high)

    def abs(self):
        return self._node("Abs")

    def exp(self):
        return self._node("Exp")

    def log(self):
        return self._node("Log")

    def sqrt(self):
        return self._node("Sqrt")

    def relu(self):
        return self._node("Relu")

    def floor(self):
        return self._node("Floor")

    def ceil(self):
        return self._node("Ceil")

    def cos(self):
        return self._node("Cos")

    def sin(self):
        return self._node("Sin")

    def to(self, dtype: DataType) -> Term:
        return self if dtype == self.dtype else self._node("Cast", dtype=dtype, to=dtype)

    def softmax(self, axis: int) -> Term:
        return self._node("Softmax", axis=axis)

    def sum(self, *axes: int) -> Term:
        """With axes of length 1 in place of those."""
        return self._node("ReduceSum", self._axes(*axes), keepdims=1)

    def mean(self, *axes: int) -> Term:
        return self._node("ReduceMean", self._axes(*axes), keepdims=1)

    def largest(self) -> Term:
        """Of all of them, a number."""
        return self._node("ReduceMax", keepdims=0)

    def matmul(self, other: Term) -> Term:
        return self._node("MatMul", other)

    def size(self, axis: int) -> Term:
        """The length of an axis, a number that is known at run time."""
        if axis not in self._lengths:
            shape = self._node("Shape", dtype=INT)
            self._lengths[axis] = shape.gather(self.body.constant(axis, INT), 0)
        return self._lengths[axis]

    def sizes(self) -> tuple[Term, Term, Term, Term]:
        """N, C, H, W of a map."""
        return tuple(self.size(axis) for axis in range(4))

    def range(self) -> Term:
        """[0, 1, ..., self - 1], of a number."""
        zero, one = (self.body.constant(number, INT) for number in (0, 1))
        return self.body.node("Range", (zero, self, one), INT)

    def gather(self, index: Term, axis: int) -> Term:
        """Of indices none of which is negative."""
        return self._node("Gather", index, axis=axis)

    def slice(self, axis: int, first: int | Term, end: int | Term) -> Term:
        bounds = (self.body.vector([bound]) for bound in (first, end))
        return self._node("Slice", *bounds, self._axes(axis))

    def take(self, place: int, axis: int) -> Term:
        """One slice, of length 1."""
        return self.slice(axis, place, place + 1)

    def reshape(self, *lengths: int | Term) -> Term:
        """-1: what is left; 0: the length that stands at this place."""
        return self._node("Reshape", self.body.vector(lengths))

    def unsqueeze(self, *axes: int) -> Term:
        return self._node("Unsqueeze", self._axes(*axes))

    def squeeze(self, *axes: int) -> Term:
        return self._node("Squeeze", self._axes(*axes))

    def transpose(self, *axes: int) -> Term:
        return self._node("Transpose", perm=list(axes))

    def tile(self, *counts: int) -> Term:
        return self._node("Tile", self._axes(*counts))

    def pad(self, before: Sequence[int | Term], after: Sequence[int | Term]) -> Term:
        """Zeros around it, as many for each axis."""
        return self._node("Pad", self.body.vector([*before, *after]))

    def pad_map(self, rows: int, columns: int) -> Term:
        """Zeros around a map."""
        return self.pad((0, 0, rows, columns), (0, 0, rows, columns))

    def conv(self, weight: Term, bias: Term | None = None, groups: int = 1, dilation: Sequence[int] = (1, 1)) -> Term:
        """Of a map, without a border of its own."""
        return self._node("Conv", weight, bias, group=groups, dilations=list(dilation))

    def conv_transpose(self, weight: Term, bias: Term | None, **attributes) -> Term:
        return self._node("ConvTranspose", weight, bias, **attributes)

    def average_pool(self, rows: int, columns: int, inside: bool) -> Term:
        """Means of windows of an odd number of rows and columns; inside: around every pixel, over those that lie in the map."""
        pads = [rows // 2, columns // 2] * 2 if inside else [0] * 4
        return self._node("AveragePool", kernel_shape=[rows, columns], pads=pads, count_include_pad=0)

    def grid_sample(self, grid: Term) -> Term:
        """Bilinear, the border repeated; -1 and 1 are the outer edges of the map."""
        return self._node("GridSample", grid, align_corners=0, mode="bilinear", padding_mode="border")


def concat(terms: Sequence[Term], axis: int) -> Term:
    return terms[0]._node("Concat", *terms[1:], axis=axis)


def total(terms: Sequence[Term]) -> Term:
    """Their sum, one after the other."""
    first, *others = terms
    for term in others:
        first = first + term
    return first
