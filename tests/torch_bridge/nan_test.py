"""A nan stays visible: results and gradients hold one wherever the operator composed of torch operations does.

One element of one tensor at a time, of every argument, parameter and gradient that comes in, is made a nan, then
infinite. Where the composition counts it with a weight of exactly 0 (a border that it reads twice, a pixel that it hits
exactly) both answers are right: it has to arrive only where another number in its place changes the result.
"""

import dataclasses
import functools
import math
import os
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
import upwell
from torch import Tensor, nn

from compare import assert_close
from problems import random
from process_test import python
from reference import composition, cross_attention, formula, upsamplers, wrc
from resfu_draws import as_tuple

NAN, INFINITY = float("nan"), float("inf")
ON_OPENCL = "opencl" in os.environ.get("UPWELL_LIBRARY", "")  # where every launch takes a while
DTYPES = [torch.float32, torch.float64, torch.float16, torch.bfloat16]
INSTRUCTION_SETS = ["baseline", "avx2", "avx512"]  # each has what the ones before have
LOW, HIGH, DOUBLE, SMALLER = (5, 7), (9, 12), (10, 14), (3, 4)
DIFFERENCE = {"weight": (6, 2, 3, 3), "bias": (6,)}


@dataclasses.dataclass(frozen=True)
class Case:
    """A call in Upwell and in torch operations.

    wider: results that may hold more nans than those of the composition.
    refused: arguments that have to be finite.
    """

    own: Callable
    composed: Callable
    tensors: dict[str, Tensor]
    wider: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()


CASES: dict[str, Case] = {}
MODULES: dict[str, Case] = {}


def of(*arguments: str) -> tuple[str, ...]:
    return tuple(f"gradient of {argument}" for argument in arguments)


# Taps outside the image have the gradient 0 of their own; here it is 0 times what may be a nan.
OF_TAPS = of("logits", "weight")
# No blur is one whose neighbours weigh 0.
OF_DIFFERENCE = ("output 0", *of("key", "query", "weight"))
# Phases of unequal kernels are padded with weights of 0 (docs/lctc.md), and maps with zeros.
OF_PHASES = ("output 0", *of("input", "weight"))
# A frequency and its negative are one number.
OF_SPECTRUM = of("precision", "data_weight")


def add(name: str, own: Callable, composed: Callable, options: dict, **shapes: tuple[int, ...]) -> None:
    """options: further ones of the case."""
    tensors = {argument: random(shape, torch.float64, i) for i, (argument, shape) in enumerate(shapes.items())}
    CASES[name] = Case(own, composed, tensors, **options)


def add_operator(name: str, where, options: dict, wider: tuple[str, ...] = (), **shapes: tuple[int, ...]) -> None:
    """name: the operator, and behind a space what is special about this call of it."""
    own, composed = (functools.partial(call_in, place, name.split()[0], options) for place in (upwell.ops, where))
    add(name, own, composed, {"wider": wider}, **shapes)


def call_in(place, operator: str, options: dict, *tensors: Tensor):
    return getattr(place, operator)(*tensors, **options)


def add_reassemblies() -> None:
    for what, high in (("twice", DOUBLE), ("any size", HIGH), ("down", SMALLER)):
        maps = {"value": (2, 3, *LOW), "logits": (2, 9, *high)}
        add_operator(f"fns {what}", formula, {"kernel": 3}, OF_TAPS, **maps)
        add_operator(f"carafe {what}", formula, {"kernel": 3}, OF_TAPS, **maps)
        add_operator(f"carafe masked {what}", formula, {"kernel": 3, "border": "mask"}, OF_TAPS, **maps)
        maps = {"value": (2, 4, *LOW), "weight": (2, 50, *high)}
        add_operator(f"carafe_reassembly {what}", formula, {"kernel": 5, "groups": 2}, OF_TAPS, **maps)
        for name in ("bilinear", "bicubic", "nearest"):
            add_operator(f"{name} {what}", formula, {"size": high}, value=(2, 3, *LOW))
    maps = {"value": (2, 4, *LOW), "logits": (2, 25, *DOUBLE)}
    add_operator("fns of 5 x 5", formula, {"kernel": 5}, OF_TAPS, **maps)
    maps["logits"] = (2, 25, *HIGH)
    add_operator("fns masked by 2", formula, {"kernel": 5, "mask_ratio": 2}, OF_TAPS, **maps)
    maps["logits"] = (2, 18, *DOUBLE)
    add_operator("carafe in groups", formula, {"kernel": 3, "groups": 2}, OF_TAPS, **maps)


def add_attentions() -> None:
    for what, high in (("twice", DOUBLE), ("any size", HIGH), ("down", SMALLER)):
        for border in ("zero", "mask"):
            maps = {"value": (2, 4, *LOW), "query": (2, 3, *high), "key": (2, 3, *LOW)}
            options = {"kernel": 3, "border": border}
            add_operator(f"sapa_attention {border} {what}", formula, options, of("query"), **maps)


def add_cross_attentions() -> None:
    # On a CPU the weight of a cell that another pixel of its 32 sees is 0, which a number that is none makes nan.
    wider = () if ON_OPENCL else ("output 0", *of("query", "key", "value"))
    for what, options in (
        ("shifted", {"window": "shifted", "kernel": (3, 3)}),
        ("masked, a mean", {"window": "masked", "kernel": (3, 3), "mean_heads": True}),
    ):
        maps = {"query": (2, 4, *HIGH), "key": (2, 4, *LOW), "value": (2, 4, *LOW)}
        add_operator(f"cross_attention {what}", cross_attention, {"heads": 2, **options}, wider, **maps)


def add_samples() -> None:
    for what, places, options in (("", (16, *LOW), {}), (" high-res", (4, *DOUBLE), {"high_res": True})):
        maps = {"value": (2, 4, *LOW), "offsets": (2, *places)}
        add_operator(f"sample_at_offsets{what}", formula, {"scale": 2, "groups": 2, **options}, **maps)


def add_unpoolings() -> None:
    for what, place, options in (
        ("any size", (2, *HIGH), {"groups": 2}),
        ("down", (1, *SMALLER), {}),
        ("by a scale", (8, *LOW), {"scale": 2, "groups": 2}),
    ):
        maps = {"value": (2, 4, *LOW), "index": (2, *place)}
        add_operator(f"index_unpool {what}", formula, options, **maps)


def add_listed_taps() -> None:
    maps = {"value": (2, 3, *LOW), "weight": (2, 25, *LOW)}
    add_operator("adaptive_conv", formula, {"kernel": 5}, **maps)
    # Factors are positive, as a Gaussian's: of others a sum may be at its floor, and weights too large for float16.
    own, composed = (
        lambda query, key, spatial, where=where: where.range_weights(query, key, spatial.square(), 3)
        for where in (upwell.ops, formula)
    )
    add("range_weights", own, composed, {}, query=(2, 3, *LOW), key=(2, 3, *LOW), spatial=(9,))
    add_operator("local_attention", formula, {}, value=(2, 3, *LOW), logits=(2, 13, *DOUBLE))


def folded(weight: Tensor, bias: Tensor, norm_weight: Tensor, norm_bias: Tensor, mean: Tensor, rstd: Tensor):
    """As fold_group_norm."""
    mean, rstd = (each.repeat_interleave(len(norm_weight) // each.shape[1], 1) for each in (mean, rstd))
    scale = norm_weight * rstd
    return weight * scale[:, None, :], (norm_bias - scale * mean) @ weight.T + bias


def add_filters() -> None:
    parameters = {"weight": (5, 4), "bias": (5,), "norm_weight": (4,), "norm_bias": (4,), "mean": (2, 2), "rstd": (2, 2)}
    add("fold_group_norm", upwell.ops.fold_group_norm, folded, {}, **parameters)
    for what, options in (("plain", {}), ("blurred", {"blur": True}), ("upsampled", {"size": HIGH})):
        add_operator(f"group_stats {what}", composition, {"groups": 2, **options}, x=(2, 4, *LOW))
    for what, options in (("whole", {}), ("sampled", {"scale": 2}), ("centred", {"scale": 2, "centred": True})):
        maps = {"guide": (2, 3, *HIGH), "input": (2, 3, *LOW)}
        add_operator(f"guided_filter {what}", composition, {"radius": 2, "eps": 1e-2, **options}, **maps)
        maps = {"guide": (2, 3, *HIGH), "input": (2, 2, *LOW)}
        add_operator(f"colour_guided_filter {what}", composition, {"radius": 2, "eps": 1e-2, **options}, **maps)
    pair = {"key": (2, 4, *HIGH), "query": (2, 4, *HIGH)}
    for dilation in ((1, 1), (2, 3)):
        options = {"groups": 2, "dilation": dilation}
        add_operator(f"pcdc by {dilation}", composition, options, OF_DIFFERENCE, **pair, **DIFFERENCE)
    block = {"norm_weight": (4,), **DIFFERENCE, "compress_weight": (8, 3), "compress_bias": (8,)}
    block |= {"hidden_weight": (8,), "hidden_bias": (8,), "score_weight": (9, 8), "score_bias": (9,)}
    for what, key, query, options in (
        ("of a low-res key", LOW, DOUBLE, {}),
        ("of a low-res key, paper", LOW, DOUBLE, {"relu": False}),
        ("of a low-res key at any size", LOW, HIGH, {}),
        ("of a map", HIGH, HIGH, {"ratio": (2, 1, 2, 1)}),
        ("of a map, paper", HIGH, HIGH, {"ratio": (2, 1, 2, 1), "relu": False}),
        ("of a blurred map", HIGH, HIGH, {"ratio": (5, 3, 7, 4), "blur": True}),
    ):
        maps = {"key": (2, 4, *key), "query": (2, 4, *query)}
        add_operator(f"pcdc_scores {what}", composition, {"groups": 2, "norm_groups": 2, **options}, **maps, **block)


def with_options(function: Callable, *options) -> Callable:
    return lambda *tensors: function(*tensors, *options)


def with_weights_above_0(solve: Callable, *options) -> Callable:
    """solve of weighted reverse convolution, whose weights are squares of the ones given."""
    return lambda precision, weighted, data_weight, data, kernel: solve(
        precision.square() + 0.1, weighted, data_weight.square(), data, kernel, *options
    )


def add_inverses() -> None:
    maps = {"input": (2, 4, *LOW), "weight": (4, 3, 3, 3), "bias": (6,)}
    for stride in (1, 2, 3):
        calls = (with_options(call, stride, 1, 0, 2) for call in (upwell.ops.transposed_conv, F.conv_transpose2d))
        add(f"transposed_conv by {stride}", *calls, {"wider": OF_PHASES}, **maps)
    add("wrc_data", upwell.ops.wrc_data, wrc.data, {}, x=(2, 3, *LOW), response=(2, 3, *LOW))
    maps = {"x": (2, 3, *LOW), "mixed": (2, 27, *LOW), "lam": (3,)}
    for scale in (1, 2):
        calls = (with_options(call, scale) for call in (upwell.ops.wrc_prior, wrc.prior))
        add(f"wrc_prior by {scale}", *calls, {}, **maps)
    maps = {"precision": (2, 2, 6, 8), "weighted": (2, 2, 6, 8), "data_weight": (2, 2, 3, 4), "data": (2, 2, 3, 4)}
    options = {"refused": ("weight",)}
    for kernel in (2, 3):
        calls = (with_weights_above_0(call, 2) for call in (upwell.ops.wrc_exact, wrc.exact))
        add(f"wrc_exact of {kernel}", *calls, options, **maps, weight=(2, kernel, kernel))
    for centre in ("image", "kernel"):
        calls = (with_weights_above_0(call, 2, centre) for call in (upwell.ops.wrc_spectral, wrc.spectral))
        add(f"wrc_spectral by {centre}", *calls, {**options, "wider": OF_SPECTRUM}, **maps, weight=(2, 3, 3))
    calls = (upwell.ops.merge_kernels, lambda large, small: large + F.pad(small, [1] * 4))
    add("merge_kernels", *calls, {"refused": ("large", "small")}, large=(4, 2, 5, 5), small=(4, 2, 3, 3))


class Called(nn.Module):
    """call(module, *inputs), for torch.func.functional_call."""

    def __init__(self, module: nn.Module, call: Callable):
        super().__init__()
        self.module = module
        self.call = call

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.call(self.module, *inputs)


def add_module(name: str, module: nn.Module, composed: Callable, options: dict, **shapes: tuple[int, ...]) -> None:
    """Tensors are the inputs, then the parameters, far from their initial values."""
    parameters = dict(module.named_parameters())
    tensors = {argument: random(shape, torch.float64, i) for i, (argument, shape) in enumerate(shapes.items())}
    for i, (parameter, value) in enumerate(parameters.items()):
        tensors[parameter] = value.detach().double() + 0.2 * random(tuple(value.shape), torch.float64, 50 + i)

    def functional(call: Callable) -> Callable:
        called = Called(module, call)

        def run(*given: Tensor) -> Tensor:
            state = dict(zip((f"module.{parameter}" for parameter in parameters), given[len(shapes) :], strict=True))
            return torch.func.functional_call(called, state, given[: len(shapes)])

        return run

    MODULES[name] = Case(functional(type(module).__call__), functional(composed), tensors, **options)


def resfu(module: nn.Module, y: Tensor, x: Tensor) -> Tensor:
    """With the biases that the composition leaves out, because they cancel: a nan does not."""
    cancelled = 0 * (module.semantic_scores.norm.bias.sum() + module.detail_scores.norm.bias.sum())
    return composition.resfu(module, y + cancelled, x)


def guided_filter(module: nn.Module, guide: Tensor, input: Tensor) -> Tensor:
    return composition.guided_filter(guide, input, module.radius, module.eps, module.scale)


def carafe(module: nn.Module, x: Tensor) -> Tensor:
    logits = F.pixel_shuffle(module.content_encoder(module.channel_compressor(x)), module.scale_factor)
    return formula.carafe(x, logits, module.up_kernel, module.up_group, module.border)


def lctc(module: nn.Module, x: Tensor) -> Tensor:
    return module.large(x) + module.small(x)


def resized(name: str) -> Callable:
    return lambda module, x: getattr(formula, name)(x, [int(module.scale_factor * length) for length in x.shape[2:]])


def add_modules() -> None:
    x, low = (2, 4, *LOW), (2, 8, *LOW)
    for what, y, options in (
        ("twice", (2, 8, *DOUBLE), {"scale_factor": 2}),
        ("any size, paper", (2, 8, *HIGH), {"scale_factor": None, "layout": "paper"}),
        ("beside its scale", (2, 8, *HIGH), {"scale_factor": 2, "normy": False}),
    ):
        module = upwell.nn.ReSFU(8, 8, embedding_dim=16, **options)
        add_module(f"ReSFU {what}", module, resfu, {}, y=y, x=low)
    module = upwell.nn.GuidedFilter(2, 1e-2, 4, scale=2)
    add_module("GuidedFilter", module, guided_filter, {}, guide=(2, 4, *HIGH), input=x)
    for border in ("zero", "mask"):
        module = upwell.nn.CARAFE(4, 2, up_kernel=3, compressed_channels=8, border=border)
        add_module(f"CARAFE {border}", module, carafe, {"wider": ("gradient of x",)}, x=x)
    options = {"wider": ("output 0", "gradient of x"), "refused": ("large.weight", "small.weight")}
    add_module("LCTC in groups", upwell.nn.LCTC(4, 4, 5, groups=4), lctc, options, x=x)
    add_module("LCTC of torch", upwell.nn.LCTC(12, 12, 5), lctc, options, x=(2, 12, *LOW))
    solvers = {"spectral": functools.partial(wrc.spectral, centre="image"), "exact": wrc.exact}
    for solver, solve in solvers.items():
        module, options = upwell.nn.WRC(3, 3, 3, 2, solver=solver), {"refused": ("weight",)}
        add_module(f"WRC {solver}", module, functools.partial(wrc_layer, solve), options, x=(2, 3, 3, 4))
    if not ON_OPENCL:  # of operators that are tried there, and torch's layers
        add_fields(x)
    for name in ("Bilinear", "Nearest"):
        module = getattr(upwell.nn, name)(1.8, recompute_scale_factor=True)
        add_module(name, module, resized(name.lower()), {}, x=x)


def add_fields(x: tuple[int, ...]) -> None:
    nn, high, odd = upwell.nn, (2, 6, *DOUBLE), (2, 6, *HIGH)
    for what, module, y in (
        ("normalised", nn.SAPA(6, 4, None, 3, 8), odd),
        ("as given", nn.SAPA(6, 4, 2, 3, 8, norm=False, border="mask"), high),
    ):
        add_module(f"SAPA {what}", module, upsamplers.sapa, {}, y=y, x=x)
    for q_mode in ("encoder_only", "cat", "gate"):
        module = nn.SAPAExp(6, 4, 3, q_mode, up_kernel_size=3, embedding_dim=8)
        add_module(f"SAPAExp {q_mode}", module, upsamplers.sapa_exp, {}, y=high, x=x)
    for variant in ("l2h", "h2l", "lite", "ungated"):
        module = nn.FADE(6, 4, 2, 3, variant)
        add_module(f"FADE {variant}", module, upsamplers.fade, {}, en=high, de=x)
    jbu = nn.JBULearnedRange(6, 4, 5, radius=1).eval()
    add_module("JBULearnedRange", jbu, upsamplers.jbu, {}, source=x, guidance=high)
    add_module("LocalAttender", nn.LocalAttender(6), upsamplers.local_attender, {}, guide=high, value=x)
    add_module("IndexNet", nn.IndexNet(4, 6), upsamplers.index_net, {}, guide=high, x=x)
    for name in ("HolisticIndexBlock", "DepthwiseO2OIndexBlock", "DepthwiseM2OIndexBlock"):
        # torch's depthwise convolution of bfloat16 spreads a nan to the channel beside.
        options = {"wider": of("en") if "O2O" in name else ()}
        add_module(name, getattr(nn, name)(6, use_context=True), upsamplers.indices, options, en=high)
    shuffled = nn.PixelShuffle(4, 2)
    add_module("PixelShuffle", shuffled, lambda module, x: F.pixel_shuffle(module[0](x), 2), {}, x=x)
    add_module("Deconv", nn.Deconv(4), torch.nn.ConvTranspose2d.forward, {}, x=x)


def wrc_layer(solve: Callable, module: nn.Module, x: Tensor) -> Tensor:
    return wrc.layer(x, module, solve)


add_reassemblies()
add_attentions()
add_samples()
add_unpoolings()
add_cross_attentions()
add_listed_taps()
add_filters()
add_inverses()
with torch.random.fork_rng():  # torch's own seed is another in every process
    torch.manual_seed(1)
    add_modules()


@pytest.fixture(autouse=True)
def one_thread():
    """The dense solver of the reference may wait for ever for a second one after torch.set_num_threads."""
    torch.set_num_threads(1)


def results(call: Callable, tensors: list[Tensor], cotangents: list[Tensor]) -> list[Tensor]:
    """The outputs of call(*tensors), then the gradient of each tensor."""
    leaves = [tensor.detach().requires_grad_() for tensor in tensors]
    outputs = as_tuple(call(*leaves))
    gradients = torch.autograd.grad(outputs, leaves, cotangents, materialize_grads=True)
    return [*(output.detach() for output in outputs), *gradients]


class Trial:
    """A case with another number in one place of one of its tensors, or of a gradient that comes in."""

    def __init__(self, case: Case):
        self.case = case
        tensors = list(case.tensors.values())
        outputs = as_tuple(case.composed(*tensors))
        self.count = len(tensors)
        self.given = tensors + [random(tuple(output.shape), torch.float64, 100 + i) for i, output in enumerate(outputs)]
        self.inputs = [*case.tensors, *(f"gradient {i}" for i in range(len(outputs)))]
        self.names = [*(f"output {i}" for i in range(len(outputs))), *of(*case.tensors)]
        self.clean = self.composed(self.given)

    def put(self, input: int, element: int, number: float) -> list[Tensor]:
        changed = list(self.given)
        changed[input] = changed[input].clone()
        changed[input].view(-1)[element] = number
        return changed

    def composed(self, given: list[Tensor]) -> list[Tensor]:
        return results(self.case.composed, given[: self.count], given[self.count :])

    def own(self, given: list[Tensor], dtype: torch.dtype) -> list[Tensor]:
        given = [tensor.to(dtype) for tensor in given]
        return results(self.case.own, given[: self.count], given[self.count :])

    @functools.cache
    def matters(self, input: int, element: int) -> list[Tensor]:
        """Which elements of each result depend on that of the input; large numbers pass a ReLU, or its opposite."""
        others = [self.composed(self.put(input, element, number)) for number in (100.0, -100.0)]
        return [(a != b) | (a != c) for a, b, c in zip(self.clean, *others, strict=True)]

    @functools.cache
    def bad(self, input: int, element: int, number: float) -> list[Tensor]:
        """Which elements of each result are no numbers in the composition."""
        return [~result.isfinite() for result in self.composed(self.put(input, element, number))]

    def check(self, input: int, element: int, number: float, dtype: torch.dtype) -> None:
        argument, given = self.inputs[input], self.put(input, element, number)
        if argument in self.case.refused:
            with pytest.raises(RuntimeError, match="should be finite"):
                self.own(given, dtype)
            return
        bad, matters = self.bad(input, element, number), self.matters(input, element)
        for name, own, there, depends in zip(self.names, self.own(given, dtype), bad, matters, strict=True):
            shown = own.isnan() if math.isnan(number) else ~own.isfinite()
            needed, what = there & depends, f"{number} in {argument}[{element}], {dtype}: {name}"
            lost, more = int((needed & ~shown).sum()), int((~there & ~own.isfinite()).sum())
            assert lost == 0, f"{what} does not show it in {lost} of {int(needed.sum())} places that depend on it"
            assert more == 0 or name in self.case.wider, (
                f"{what} is not finite in {more} places besides the {int(there.sum())} of the composition"
            )


@functools.cache
def trial(name: str) -> Trial:
    return Trial(CASES[name] if name in CASES else MODULES[name])


def places(tensor: Tensor) -> list[int]:
    """The last element, and one in the middle of the first sample."""
    if tensor.dim() == 0:
        return [0, 0]
    middle = [0, *(length // 2 for length in tensor.shape[1:])] if tensor.dim() > 1 else [len(tensor) // 2]
    return [tensor.numel() - 1, sum(i * stride for i, stride in zip(middle, tensor.stride(), strict=True))]


def check(name: str, number: float, dtype: torch.dtype, which: slice) -> None:
    """The number in each of the tensors of a case, in these of its places."""
    one = trial(name)
    for input, tensor in enumerate(one.given):
        for element in places(tensor)[which]:
            one.check(input, element, number, dtype)


LAST, MIDDLE, BOTH = slice(1), slice(1, 2), slice(2)
every_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=str)


def test_every_operator_and_every_module_is_tried():
    assert ON_OPENCL or {name.split()[0] for name in CASES} == set(upwell.ops.__all__)
    modules = {name for name in upwell.nn.__all__ if isinstance(getattr(upwell.nn, name), type)}
    # Torch's, and operators or modules that are tried.
    of_layers = {"AnyUp", "ColourGuidedFilter", "DySample", "JAFAR", "JBUStack", "NAF", "WRCDensify"}
    assert ON_OPENCL or {name.split()[0] for name in MODULES} == modules - of_layers


@pytest.mark.parametrize("name", CASES)
@every_dtype
def test_a_nan_in_any_tensor_is_seen_in_the_results_and_gradients_of_an_operator(dtype, name):
    check(name, NAN, dtype, LAST if ON_OPENCL or dtype.itemsize == 2 else BOTH)


@pytest.mark.parametrize("name", CASES)
def test_an_infinite_element_of_any_tensor_is_seen_and_spreads_no_further_than_in_torch(name):
    one = trial(name)
    for input, argument in enumerate(one.inputs):
        if name.startswith("wrc_exact") and argument == "precision":
            continue  # a pixel that is known
        for number in (INFINITY, -INFINITY) if argument == "logits" else (INFINITY,):
            one.check(input, places(one.given[input])[1], number, torch.float32)


@pytest.mark.parametrize("name", MODULES)
@every_dtype
def test_a_nan_in_an_input_or_any_parameter_is_seen_in_the_results_and_gradients_of_a_module(dtype, name):
    check(name, NAN, dtype, MIDDLE)


@pytest.mark.parametrize("instruction_set", INSTRUCTION_SETS)
def test_a_nan_is_seen_with_other_instruction_sets(instruction_set):
    here = {"AVX2": 1, "AVX512": 2}.get(torch.backends.cpu.get_cpu_capability(), 0)
    if ON_OPENCL:
        pytest.skip("the library has kernels for OpenCL")
    if INSTRUCTION_SETS.index(instruction_set) > here:
        pytest.skip(f"this processor has no {instruction_set}")
    if INSTRUCTION_SETS.index(instruction_set) == here:
        pytest.skip("this processor's own, which the other tests run on")
    script = f"""
        import os
        os.environ["UPWELL_INSTRUCTION_SET"] = {instruction_set!r}
        import conftest, nan_test, torch
        torch.set_num_threads(1)
        for name in nan_test.CASES:
            for dtype in (torch.float32, torch.float64):
                nan_test.check(name, nan_test.NAN, dtype, nan_test.LAST)
        print("done")
    """
    assert python(script)[-1] == "done"


def test_the_loss_of_a_training_that_has_seen_a_nan_is_a_nan_from_then_on():
    torch.manual_seed(0)
    upsample, head = upwell.nn.ReSFU(8, 16, scale_factor=2), nn.Conv2d(16, 1, 1)
    optimiser = torch.optim.AdamW([*upsample.parameters(), *head.parameters()], 1e-3)
    y, x, target = torch.randn(2, 8, 24, 24), torch.randn(2, 16, 12, 12), torch.randn(2, 1, 24, 24)
    losses = []
    for step in range(5):
        guide = y.clone()
        if step == 2:
            guide[0, 0, 3, 3] = NAN
        loss = (head(upsample(guide, x)) - target).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.detach())
    assert torch.stack(losses).isnan().tolist() == [False, False, True, True, True]


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if "logits" in case.tensors])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_logits_of_any_size_have_numbers_as_their_softmax_and_its_gradients(name, dtype):
    """Equal logits are equal weights, also where a sum of them would be infinite (masks are often the least number)."""
    one = trial(name)
    index = list(one.case.tensors).index("logits")
    expected = one.composed([*one.given[:index], torch.zeros_like(one.given[index]), *one.given[index + 1 :]])
    for value in (torch.finfo(dtype).min, torch.finfo(dtype).max, torch.finfo(dtype).min / 3):
        given = [*one.given[:index], torch.full_like(one.given[index], value), *one.given[index + 1 :]]
        for what, own, right in zip(one.names, one.own(given, dtype), expected, strict=True):
            assert_close(own, right, 1e-5, f"{value} in logits, {dtype}: {what}", 1)
