"""What is timed: the rows of workloads/*.csv, their inputs, and the least work that each of them takes."""

import csv
import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
import upwell.ops
from upwell.inspect.reassembly import Taps

FORWARD = "forward"
TRAINING = "forward+backward"

T = TypeVar("T")


@dataclass(frozen=True)
class Work:
    """What one pass cannot do without."""

    traffic: int  # bytes read and written
    multiply_adds: int


@dataclass(frozen=True)
class Workload:
    """One operator at one shape: value N,C,h,w to output N,C,h*ratio,w*ratio, whose sizes are whole numbers."""

    name: str
    operator: str
    N: int
    C: int
    h: int
    w: int
    ratio: float
    kernel: int  # taps per side; 0 for operators that have none
    groups: int

    @property
    def size(self) -> list[int]:
        """[H, W], high-res."""
        return [round(self.h * self.ratio), round(self.w * self.ratio)]

    @property
    def shape(self) -> str:
        """For people: x2 is the ratio 2, K the kernel."""
        kernel = f" K={self.kernel}" if self.kernel else ""
        return f"{self.operator} {self.N},{self.C},{self.h},{self.w} x{self.ratio:g}{kernel}"

    @property
    def weighted(self) -> bool:
        """Whether the operator takes weights or logits N,groups*K*K,H,W beside the value."""
        return "kernel" in self._parameters

    @property
    def options(self) -> tuple:
        """The arguments after the tensors."""
        if not self.weighted:
            return (self.size,)
        return (self.kernel, self.groups) if "groups" in self._parameters else (self.kernel,)

    @property
    def _parameters(self) -> Mapping[str, inspect.Parameter]:
        """Of the function in upwell.ops."""
        return inspect.signature(getattr(upwell.ops, self.operator)).parameters

    @property
    def window(self) -> int:
        """Multiply-adds per output element of the window kernel."""
        return Taps.of(self.operator, self.kernel or 1).window

    def tensors(self, dtype: torch.dtype) -> list[torch.Tensor]:
        """Value N,C,h,w and, where the operator takes them, logits or weights N,groups*K*K,H,W."""
        torch.manual_seed(1)
        tensors = [torch.randn(self.N, self.C, self.h, self.w, dtype=dtype)]
        if self.weighted:
            tensors.append(torch.randn(self.N, self.groups * self.kernel**2, *self.size, dtype=dtype))
        return tensors

    def d_output(self, dtype: torch.dtype) -> torch.Tensor:
        """A gradient of the output, N,C,H,W."""
        torch.manual_seed(2)
        return torch.randn(self.N, self.C, *self.size, dtype=dtype)

    def output_elements(self) -> int:
        """N*C*H*W."""
        return self.N * self.C * self.size[0] * self.size[1]

    def passes(self, mode: str, dtype: torch.dtype) -> list[Work]:
        """The least work of forward and, in training, of backward.

        Every argument is read once and every result written once. Backward computes the gradient of each
        argument, at the window kernel's multiply-adds each; with constant weights that takes d_output alone.
        """
        output = self.output_elements()
        inputs = self.N * self.C * self.h * self.w
        if self.weighted:
            inputs += self.N * self.groups * self.kernel**2 * self.size[0] * self.size[1]
        forward = Work((inputs + output) * dtype.itemsize, output * self.window)
        # With weights: two gradients, and the inputs pass twice, once read and once as gradients written.
        times = 2 if self.weighted else 1
        backward = Work((output + times * inputs) * dtype.itemsize, times * output * self.window)
        return [forward, backward] if mode == TRAINING else [forward]


def read_rows(file: Path, kind: type[T]) -> list[T]:
    """The rows of this file, in order: name and operator are texts, all else integers."""
    texts = ("name", "operator")
    with file.open(newline="") as lines:
        return [kind(**{k: v if k in texts else int(v) for k, v in row.items()}) for row in csv.DictReader(lines)]


def read_workloads(files: list[Path]) -> list[Workload]:
    """The rows of these files, in order."""
    rows = [row for file in files for row in csv.DictReader(file.open(newline=""))]
    return [_workload(row) for row in rows]


def _workload(row: dict[str, str]) -> Workload:
    sizes = {key: int(row[key] or 0) for key in ("N", "C", "h", "w", "kernel", "groups")}
    return Workload(name=row["name"], operator=row["operator"], ratio=float(row["ratio"]), **sizes)
