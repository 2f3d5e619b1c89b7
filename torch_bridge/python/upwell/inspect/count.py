"""Multiply-adds of a module's forward pass, counted while torch runs it on tensors that have sizes and no memory."""

import contextlib
import math
from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from types import SimpleNamespace

import torch
from torch import nn
from torch.nn.modules.module import register_module_forward_pre_hook
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from upwell.flops import flop_formulas
from upwell.inspect.rewritten import BILINEAR, EVALUATIONS, GAUSSIAN, filter_work
from upwell.inspect.signature import signatures

Shape = tuple[int, ...]
TRANSFORM = 5 / 4  # a Fourier transform of n real numbers: 5/2 n log2(n) additions and multiplications, two to a multiply-add
WRC_TAPS = 9  # of the prior's convolution


def count(
    build: Callable[[], nn.Module],
    *shapes: Shape,
    more: tuple = (),
    rules: Mapping | None = None,
    each_layer: bool = False,
) -> tuple[int, int]:
    """Multiply-adds of what build makes, called with maps of these shapes and more, and the number of its parameters.

    Convolutions and matrix products count as torch's FlopCounterMode counts them, at two FLOPs a multiply-add; of Upwell's
    operators the sums over taps, cells, channels and frequencies. Norms, softmaxes and other work that is done once an
    element do not count. rules: other ones, of operator -> FLOPs as FlopCounterMode takes them. each_layer: as if every
    layer were called as it is published, none of them merged with another.
    """
    with torch.device("meta"):
        module = build().eval()
        maps = [torch.empty(shape) for shape in shapes]
    with Counter(rules) as counter, torch.no_grad(), _listening() if each_layer else contextlib.nullcontext():
        module(*maps, *more)
    return counter.multiply_adds, sum(parameter.numel() for parameter in module.parameters())


@contextlib.contextmanager
def _listening() -> Iterator[None]:
    """A module that somebody listens to calls each of its layers (nn/layer.py)."""
    handle = register_module_forward_pre_hook(lambda *_: None)
    try:
        yield
    finally:
        handle.remove()


class Counter(TorchDispatchMode):
    """Counts what is called while it is entered, as FlopCounterMode, which listens to every module."""

    def __init__(self, rules: Mapping | None = None):
        super().__init__()
        own = dict(every_rule() if rules is None else rules)
        self.rules = FlopCounterMode(display=False, custom_mapping=own).flop_registry
        self.flops = 0

    @property
    def multiply_adds(self) -> int:
        return self.flops // 2

    def __torch_dispatch__(self, function, types, arguments=(), options=None):
        output = function(*arguments, **(options or {}))
        rule = self.rules.get(function._overloadpacket)
        if rule is not None:
            self.flops += rule(*arguments, **(options or {}), out_val=output)
        return output


def every_rule() -> dict:
    """By torch's operator. One of Upwell's that has no rule raises NotImplementedError: nothing is left out in silence."""
    own = {name: _refuse(name) for name in signatures()}
    own |= {name: of_operator(name, rule) for name, rule in OPERATORS.items()}
    return {getattr(torch.ops.upwell, name): rule for name, rule in own.items()} | flop_formulas()


def of_operator(name: str, work: Callable[[SimpleNamespace, Shape], float]) -> Callable[..., int]:
    """work: the operator's arguments, tensors as their sizes, and the (first) output's sizes -> multiply-adds."""
    schema = getattr(torch.ops.upwell, name).default._schema.arguments
    usual = {argument.name: argument.default_value for argument in schema if argument.has_default_value()}

    def flops(*given, out_shape, **options) -> int:
        named = usual | dict(zip((argument.name for argument in schema), given)) | options
        output = out_shape if isinstance(out_shape, torch.Size) else out_shape[0]
        return 2 * round(work(SimpleNamespace(**named), output))

    return flops


def _refuse(name: str) -> Callable[..., int]:
    def flops(*_, **__) -> int:
        raise NotImplementedError(f"count: no rule says what {name} takes")

    return flops


def _cross_attention(call: SimpleNamespace, _: Shape) -> float:
    (N, D, *high), (*_, h, w), C = call.query, call.key, call.value[1]
    seen = [cells_seen(call.window, m, n, K, call.ratio) for m, n, K in zip(high, (h, w), call.kernel)]
    return N * math.prod(seen) * (D + C)


def cells_seen(window: str, m: int, n: int, kernel: int, ratio: float) -> int:
    """Of n cells along an axis, those that each of m pixels sees, added up (cross_attention in ops.py has the windows)."""
    if window == "whole":
        return m * n
    if window == "shifted":
        return m * min(kernel, n)
    if window == "masked":
        first = (p * n // m - kernel // 2 for p in range(m))
        return sum(min(cell + kernel, n) - max(cell, 0) for cell in first)
    centres = (Fraction(2 * p + 1, 2 * m) for p in range(m))
    ends = ((max(c - Fraction(ratio), 0), min(c + Fraction(ratio), 1)) for c in centres)
    return sum(math.ceil(n * end) - math.floor(n * begin) for begin, end in ends)


def _pcdc_scores(call: SimpleNamespace, scores: Shape) -> float:
    """As the model of ReSFU has it (`rewritten.py`), for maps of any size."""
    N, D, H, W = call.query
    L, of_group, *kernel = call.weight
    pixels, products = N * H * W, of_group * math.prod(kernel)
    if call.ratio is None:  # convolved at low resolution, one cell beyond the border, and upsampled
        h, w = (length + 2 for length in call.key[2:])
        key = N * h * w * L * products + EVALUATIONS * BILINEAR * L * pixels
    else:
        key = EVALUATIONS * L * products * pixels
    blur = (1 + EVALUATIONS) * GAUSSIAN * D * pixels if call.blur else 0
    hidden = call.compress_weight[0]
    return key + blur + EVALUATIONS * pixels * (L * of_group + hidden * L // call.groups) + pixels * scores[1] * hidden


def _guided_filter(call: SimpleNamespace, output: Shape) -> float:
    N, D, *full = output
    fitted = math.prod(max(length // call.scale, 1) for length in full)
    return filter_work(N * D * fitted, math.prod(output), call.scale)


def _wrc_spectral(call: SimpleNamespace, output: Shape) -> float:
    """One transform there and one back, and one of the samples."""
    planes, (high, low) = math.prod(output[:2]), (math.prod(sizes[2:]) for sizes in (output, call.data))
    return planes * TRANSFORM * (2 * high * math.log2(high) + low * math.log2(low))


# Of the operators that modules call and that are not described by taps: multiply-adds of a call.
OPERATORS = {
    "adaptive_conv": lambda call, output: call.kernel**2 * math.prod(output),
    "cross_attention": _cross_attention,
    "fold_group_norm": lambda call, folded: math.prod(folded),  # the biases of norms, through the convolution
    "group_stats": lambda call, _: 0,
    "upsampled_group_stats": lambda call, _: 0,
    "guided_filter": _guided_filter,
    "index_unpool": lambda call, output: math.prod(output),
    "local_attention": lambda call, output: call.logits[1] * math.prod(output),
    "pcdc_scores": _pcdc_scores,
    "range_weights": lambda call, _: call.kernel**2 * math.prod(call.query),
    "sample_at_offsets": lambda call, output: BILINEAR * math.prod(output),
    "merge_kernels": lambda call, _: 0,
    "transposed_conv": lambda call, _: math.prod(call.input) * math.prod(call.weight[1:]),
    "wrc_data": lambda call, _: 0,
    "wrc_prior": lambda call, output: (WRC_TAPS + 1) * BILINEAR * math.prod(output),
    "wrc_spectral": _wrc_spectral,
}
