"""What is timed beside the reassembly: the parts of ReSFU that find its scores, and the whole module."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import torch
from upwell.inspect.reassembly import Taps

from autotune.bench.workloads import TRAINING, Work, read_rows

NORM_GROUPS, RADIUS, EPS, FILTER_SCALE = 8, 8, 1e-3, 2  # as published: gn_dim, radius, eps, gf_scale
KINKED = ("semantic_scores", "detail_scores", "pcdc_block", "resfu")  # have ReLUs inside
_L, _M = 128, 128  # channels of a published PCDC block: of the difference, hidden

_FUNCTIONS = {"semantic_scores": "pcdc_scores", "detail_scores": "pcdc_scores", "pcdc_block": "pcdc_scores"}


@dataclass(frozen=True)
class FilterWorkload:
    """ReSFU, or a part of it, at one shape: features N,C,h,w, guidance N,Cy,H,W, key N,D,h,w, query N,D,H,W.

    semantic_scores takes the low-res key; detail_scores the query as its key, blurred; pcdc_block two
    high-res maps.
    """

    name: str
    operator: str
    N: int
    C: int
    Cy: int
    D: int
    h: int
    w: int
    ratio: int
    kernel: int  # taps per side
    groups: int

    @property
    def shape(self) -> str:
        """For people: x4 is the ratio 4 between low-res and high-res."""
        if self.operator == "resfu":
            return f"resfu {self.N},{self.C},{self.h},{self.w} x{self.ratio}"
        high = ",".join(map(str, self._high(self.D)))
        return f"{self.operator} {high}" + ("" if self.operator == "group_stats" else f" x{self.ratio}")

    def tensors(self, dtype: torch.dtype) -> list[torch.Tensor]:
        """The maps, and the parameters of a part; the whole module has its own."""
        torch.manual_seed(1)
        return [torch.randn(shape, dtype=dtype) for shape in self._shapes()]

    def d_output(self, dtype: torch.dtype) -> torch.Tensor:
        """A gradient of the output."""
        torch.manual_seed(2)
        return torch.randn(self._output_shape(), dtype=dtype)

    def bind(self, where: ModuleType) -> Callable[..., torch.Tensor]:
        """The part as a function of the tensors, from a module with the signatures of upwell.ops."""
        function, options = getattr(where, _FUNCTIONS.get(self.operator, self.operator)), self._options()
        if self.operator == "group_stats":
            return lambda x: torch.stack(function(x, *options))
        if self.operator == "detail_scores":
            return lambda query, *block: function(query, query, *block, *options)
        return lambda *tensors: function(*tensors, *options)

    def passes(self, mode: str, dtype: torch.dtype) -> list[Work]:
        """The least work of forward and, in training, of backward.

        Every argument is read once and every result written once; nothing between them is. Backward computes
        the gradients of both factors of every product.
        """
        inputs, output = sum(map(math.prod, self._shapes())), math.prod(self._output_shape())
        multiply_adds = self.multiply_adds()
        forward = Work((inputs + output) * dtype.itemsize, multiply_adds)
        backward = Work((2 * inputs + output) * dtype.itemsize, 2 * multiply_adds)
        return [forward, backward] if mode == TRAINING else [forward]

    @property
    def low_res_key(self) -> int:
        """Multiply-adds of the semantic key's convolution: torch's, before the fused kernels."""
        low = self.N * self.h * self.w
        return low * _L * self.D // self.groups * self.kernel**2 if self.operator == "semantic_scores" else 0

    @property
    def last_product(self) -> int:
        """Multiply-adds of the scores from hidden channels."""
        return math.prod(self._high(1)) * self.kernel**2 * _M

    def _high(self, channels: int) -> tuple[int, ...]:
        return (self.N, channels, self.h * self.ratio, self.w * self.ratio)

    def _options(self) -> tuple:
        """The arguments after the tensors."""
        block, spread = (self.groups, NORM_GROUPS), (self.ratio, 1, self.ratio, 1)
        return {
            "guided_filter": (RADIUS, EPS, FILTER_SCALE),
            "semantic_scores": block,
            "detail_scores": (*block, spread, True, True),
            "pcdc_block": (*block, spread),
            "pcdc": (self.groups, (self.ratio, self.ratio)),
            "group_stats": (NORM_GROUPS,),
        }[self.operator]

    def _shapes(self) -> list[tuple[int, ...]]:
        """Of the tensors."""
        low, high, K = (self.N, self.D, self.h, self.w), self._high(self.D), self.kernel
        difference = [(_L, self.D // self.groups, K, K), (_L,)]
        hidden = [(_M, _L // self.groups), (_M,), (_M,), (_M,)]
        block = [(self.D,), *difference, *hidden, (K * K, _M), (K * K,)]
        return {
            "guided_filter": [high, low],
            "semantic_scores": [low, high, *block],
            "detail_scores": [high, *block],
            "pcdc_block": [high, high, *block],
            "pcdc": [high, high, *difference],
            "group_stats": [high],
            "resfu": [self._high(self.Cy), (self.N, self.C, self.h, self.w)],
        }[self.operator]

    def _output_shape(self) -> tuple[int, ...]:
        channels = {"guided_filter": self.D, "pcdc": _L, "resfu": self.C}.get(self.operator, self.kernel**2)
        return (2, self.N, NORM_GROUPS) if self.operator == "group_stats" else self._high(channels)

    def multiply_adds(self) -> int:
        """Of one pass, with the semantic key's convolution at low resolution; normalisations are left out."""
        low, high = self.N * self.h * self.w, math.prod(self._high(1))
        samples = high // FILTER_SCALE**2
        query = _L * self.D // self.groups
        key, upsampled = query * self.kernel**2, 4 * _L
        behind = _M * _L // self.groups + self.kernel**2 * _M
        semantic = low * key + high * (upsampled + query + behind)
        detail = high * (key + query + behind)
        # Per sample: 4 for the input, 2 products, 5 to solve, 4 (running sums) for each of 6 box means.
        # Per pixel: 4 for each of a and b, and a * guide + b.
        guided = self.D * (samples * 35 + high * 9)
        projections = self.D * (low * self.C + high * self.Cy)
        fns = high * self.C * Taps.of("fns", self.kernel).window
        return {
            "guided_filter": guided,
            "semantic_scores": semantic,
            "detail_scores": detail,
            "pcdc_block": detail,
            "pcdc": high * (key + query),
            "group_stats": high * self.D * 2,
            "resfu": projections + guided + semantic + detail + fns,
        }[self.operator]


def read_filters(file: Path) -> list[FilterWorkload]:
    """The rows of this file, in order."""
    return read_rows(file, FilterWorkload)
