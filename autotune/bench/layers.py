"""What is timed as a whole layer beside its published form: WRC and LCTC."""

import math
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

import upwell.nn
from autotune.bench.workloads import TRAINING, Work, read_rows

PADDING = 2  # of WRC, as published
SMALL = 3  # taps per side of LCTC's parallel kernel


@dataclass(frozen=True)
class LayerWorkload:
    """A layer at one shape: N,C,h,w to N,C,h*ratio,w*ratio."""

    name: str
    operator: str  # wrc or lctc
    N: int
    C: int
    h: int
    w: int
    ratio: int
    kernel: int  # taps per side
    groups: int  # of lctc

    @property
    def shape(self) -> str:
        """For people: x2 is the ratio 2, K the kernel."""
        kind = {"wrc": "", "lctc": "depthwise " if self.groups == self.C else "dense "}[self.operator]
        return f"{kind}{self.operator} {self.N},{self.C},{self.h},{self.w} x{self.ratio} K={self.kernel}"

    def tensors(self, dtype: torch.dtype) -> list[Tensor]:
        """The map."""
        torch.manual_seed(1)
        return [torch.randn(self.N, self.C, self.h, self.w, dtype=dtype)]

    def d_output(self, dtype: torch.dtype) -> Tensor:
        """A gradient of the output."""
        torch.manual_seed(2)
        return torch.randn(self.N, self.C, self.h * self.ratio, self.w * self.ratio, dtype=dtype)

    def module(self, **options) -> nn.Module:
        """Upwell's, with the same parameters every time; options: of the constructor."""
        torch.manual_seed(3)
        if self.operator == "wrc":
            return upwell.nn.WRC(self.C, self.C, self.kernel, self.ratio, PADDING, **options)
        return upwell.nn.LCTC(self.C, self.C, self.kernel, SMALL, self.ratio, self.groups, **options)

    def passes(self, mode: str, dtype: torch.dtype) -> list[Work]:
        """The least work of forward and, in training, of backward.

        The map is read once and the output written once, parameters apart. Backward computes the gradients of both
        factors of every product; of WRC's transforms it takes as many again.
        """
        map, output = self.N * self.C * self.h * self.w, self.N * self.C * self.h * self.w * self.ratio**2
        products, transforms = self._multiply_adds()
        forward = Work((map + output) * dtype.itemsize, products + transforms)
        backward = Work((2 * map + output) * dtype.itemsize, 2 * products + transforms)
        return [forward, backward] if mode == TRAINING else [forward]

    def _multiply_adds(self) -> tuple[int, int]:
        """Of the products with parameters, and of the Fourier transforms (5/4 n log2 n for n real values)."""
        if self.operator == "lctc":
            return self.N * self.h * self.w * self.C * self.C // self.groups * self.kernel**2, 0
        low = (self.h + 2 * PADDING) * (self.w + 2 * PADDING)
        high = low * self.ratio**2
        convolutions = self.N * low * 2 * 9 * self.C**2  # on the map, and tap by tap for the prior
        rows = self.N * self.C * high * (6 + 18 // self.ratio)  # of the prior's bilinear samples
        return convolutions + rows, int(self.N * self.C * 2 * 1.25 * high * math.log2(high))


def read_layers(file: Path) -> list[LayerWorkload]:
    """The rows of this file, in order."""
    return read_rows(file, LayerWorkload)
