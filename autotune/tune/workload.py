"""An operator at a shape, as the command line names it, and what its kernels have to calculate."""

import math
import re
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from pathlib import Path

from autotune.tune.kernels import Catalogue, Kernel, TuneError

_WINDOW = ("fns", "carafe", "carafe_reassembly", "bilinear", "nearest")
# The name here -> the one of the benchmark's workloads (filters.py).
_FILTERS = {
    "guided_filter": "guided_filter",
    "pcdc": "pcdc",
    "pcdc_scores": "pcdc_block",
    "semantic_scores": "semantic_scores",
    "detail_scores": "detail_scores",
}
OPERATORS = (*_WINDOW, *_FILTERS)
_LANES = 16  # of the widest vector
_HIDDEN = 128  # channels of a PCDC block


@dataclass(frozen=True)
class Workload:
    """N,C,h,w low-res, ratio times larger on each axis high-res; kernel: taps per side."""

    operator: str
    N: int
    C: int
    h: int
    w: int
    ratio: int
    kernel: int
    groups: int
    dtype: str = "float32"

    def __post_init__(self):
        if self.operator not in OPERATORS:
            raise TuneError(f"operator should be one of {', '.join(OPERATORS)} but is {self.operator}")
        for name, value in asdict(self).items():
            if isinstance(value, int) and value < 1:
                raise TuneError(f"{self.operator}: {name} should be positive but is {value}")

    @property
    def shape(self) -> str:
        """For people; parse_workload() reads it."""
        groups = f" groups {self.groups}" if self.groups > 1 else ""
        return f"{self.operator} {self.N},{self.C},{self.h},{self.w} ratio {self.ratio} kernel {self.kernel}{groups}"

    def as_dict(self) -> dict[str, object]:
        return asdict(self)

    def catalogue(self, build: Path) -> Catalogue:
        """The kernels that a call of it may run."""
        return Catalogue(build)

    def owns(self, compiled: Kernel) -> bool:
        """Whether tuning this operator means this kernel, of all that a call of it runs."""
        if self.operator in _WINDOW:
            return compiled.generator in (self.operator, f"{self.operator}_d_value", f"{self.operator}_d_weight")
        return True

    def extent(self, compiled: Kernel) -> tuple[int, int, int]:
        """(channels, pixels, samples) by which a tuned table's buckets divide the calls of this kernel."""
        high = self.h * self.ratio * self.w * self.ratio
        if self.operator in _WINDOW:
            return self.C, self.h * self.w, self.N
        if compiled.generator.startswith("guided_filter"):  # planes
            return self.N * self.C, high, 1
        return self.C, high, self.N

    def neighbours(self, compiled: Kernel, channels: tuple[int, int], pixels: tuple[int, int]) -> list["Workload"]:
        """The same with the fewest and the most channels, and with the fewest and the most pixels, that a bucket has:
        channels in steps that a vector or a group divides as it divides these, maps in the same proportions."""
        own_channels, own_pixels, _ = self.extent(compiled)
        given = self._own_channels(compiled)
        step = math.lcm(math.gcd(given, _LANES), self.groups)
        least, most = (Fraction(given * bound, own_channels * step) for bound in channels)
        small, large = (math.sqrt(bound / own_pixels) for bound in pixels)
        others = (
            self._with_channels(compiled, math.ceil(least) * step),
            self._with_channels(compiled, math.floor(most) * step),
            replace(self, h=math.ceil(self.h * small), w=math.ceil(self.w * small)),
            replace(self, h=math.floor(self.h * large), w=math.floor(self.w * large)),
        )
        return [other for other in dict.fromkeys(others) if other != self]

    def _own_channels(self, compiled: Kernel) -> int:
        return self.C

    def _with_channels(self, compiled: Kernel, count: int) -> "Workload":
        return replace(self, C=count)

    def multiply_adds(self, compiled: Kernel) -> int:
        """The least that this kernel has to calculate (autotune/bench); a transpose does as much again for
        each of the two factors that it is transposed for."""
        bench = bench_workload(self)
        if self.operator in _WINDOW:
            return bench.output_elements() * bench.window
        if compiled.generator.startswith("group_stats"):
            return 2 * self.N * self.C * self.h * self.ratio * self.w * self.ratio
        forward = bench.multiply_adds() - bench.low_res_key
        generator = compiled.generator.replace("pcdc_upsampled_hidden", "pcdc_hidden")
        if generator in ("pcdc_statistics", "pcdc_hidden"):
            return forward - bench.last_product
        if generator in ("pcdc_hidden_scores", "pcdc_hidden_moments"):
            return bench.last_product
        if generator == "pcdc_hidden_statistics":
            return 2 * self.N * _HIDDEN * self.h * self.ratio * self.w * self.ratio
        return 2 * forward if compiled.generator.endswith("_backward") else forward

    def run(self) -> None:
        """A forward and a backward pass with random maps."""
        import torch

        bench, dtype = bench_workload(self), getattr(torch, self.dtype)
        tensors = [t.requires_grad_() for t in bench.tensors(dtype)]
        bind(self)(*tensors).backward(bench.d_output(dtype))


def bench_workload(workload: Workload):
    """The benchmark's own description of it."""
    from autotune.bench.filters import FilterWorkload
    from autotune.bench.workloads import Workload as BenchWorkload

    w = workload
    if w.operator in _WINDOW:
        return BenchWorkload(w.operator, w.operator, w.N, w.C, w.h, w.w, w.ratio, w.kernel, w.groups)
    return FilterWorkload(w.operator, _FILTERS[w.operator], w.N, w.C, w.C, w.C, w.h, w.w, w.ratio, w.kernel, w.groups)


def bind(workload: Workload):
    """The operator as a function of the workload's tensors. Needs torch."""
    import upwell

    bench = bench_workload(workload)
    if workload.operator in _WINDOW:
        return lambda *tensors: getattr(upwell.ops, workload.operator)(*tensors, *bench.options)
    return bench.bind(upwell.ops)


def parse_workload(text: str, dtype: str) -> Workload:
    """What Workload.shape wrote."""
    match = re.fullmatch(r"(\w+) (\d+),(\d+),(\d+),(\d+) ratio (\d+) kernel (\d+)(?: groups (\d+))?", text)
    if not match:
        raise TuneError(f"a shape should be like `fns 2,64,32,32 ratio 4 kernel 3` but is {text}")
    operator, *sizes, groups = match.groups()
    return Workload(operator, *map(int, sizes), int(groups or 1), dtype)


def parse_shape(text: str) -> tuple[int, int, int, int]:
    """N,C,h,w."""
    try:
        sizes = tuple(int(part) for part in text.split(","))
    except ValueError:
        sizes = ()
    if len(sizes) != 4 or not all(0 < size < 2**31 for size in sizes):
        raise TuneError(f"--shape should be N,C,h,w (low-res, all positive) but is {text}")
    return sizes
