"""adaptive_conv, range_weights and local_attention, and the modules that are made of them: FeatUp's joint bilateral upsamplers and
UPLiFT's local attender."""

import os

import pytest
import torch
import torch.nn.functional as F
import upwell

import golden
from compare import assert_close, largest
from golden_test import check_module as check_golden
from problems import channels_last, random, sliced, transposed
from reference import formula, loops, upsamplers

ON_OPENCL = "opencl" in os.environ.get("UPWELL_LIBRARY", "")  # the GPU's kernels
CLOSE = {torch.float32: 2e-5, torch.float64: 1e-11}
both_dtypes = pytest.mark.parametrize("dtype", CLOSE, ids=str)
# samples, channels, rows, columns, taps per side
SHAPES = [
    (2, 3, 6, 9, 3),
    (1, 17, 5, 40, 7),
    (2, 9, 33, 7, 5),
    (1, 33, 4, 4, 7),
    (1, 2, 1, 1, 3),
    (1, 5, 1, 9, 5),
    (2, 1, 7, 2, 7),
    (1, 4, 3, 3, 17),
    (2, 6, 9, 35, 1),
]
# samples, channels, rows, columns of cells, rows and columns of pixels in a cell
CELLS = [(2, 3, 3, 4, 2, 2), (1, 17, 2, 5, 4, 3), (1, 9, 1, 1, 3, 5), (2, 4, 6, 11, 1, 1), (1, 33, 5, 2, 1, 16)]


def of_conv(N, C, H, W, K):
    return [(N, C, H, W), (N, K * K, H, W)]


def of_range(N, C, H, W, K):
    return [(N, C, H, W), (N, C, H, W), (K * K,)]


def of_attention(T, N, C, h, w, rows, columns):
    return [(N, C, h, w), (N, T, rows * h, columns * w)]


def tensors(shapes, dtype=torch.float64) -> list[torch.Tensor]:
    given = [random(shape, dtype, i) for i, shape in enumerate(shapes)]
    return [tensor.abs() + 0.1 if tensor.dim() == 1 else tensor for tensor in given]  # factors of taps


def results(call, given: list[torch.Tensor]) -> list[torch.Tensor]:
    """The output, then the gradient of each tensor."""
    leaves = [tensor.detach().requires_grad_() for tensor in given]
    output = call(*leaves)
    output.backward(random(tuple(output.shape), output.dtype, 9))
    return [output.detach(), *(leaf.grad for leaf in leaves)]


def check(name: str, shapes, options: tuple, dtype: torch.dtype) -> None:
    given = tensors(shapes, dtype)
    actual = results(lambda *t: getattr(upwell.ops, name)(*t, *options), given)
    expected = results(lambda *t: getattr(formula, name)(*t, *options), [tensor.double() for tensor in given])
    for i, (a, e) in enumerate(zip(actual, expected)):
        assert_close(a, e, CLOSE[dtype], f"{name}[{i}]", max(1.0, largest(e)))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@both_dtypes
def test_adaptive_convolutions_and_their_gradients_equal_their_formula(shape, dtype):
    check("adaptive_conv", of_conv(*shape), shape[4:], dtype)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@both_dtypes
def test_range_weights_and_their_gradients_equal_their_formula(shape, dtype):
    check("range_weights", of_range(*shape), shape[4:], dtype)


@pytest.mark.parametrize("connected", formula.CONNECTED)
@pytest.mark.parametrize("shape", CELLS, ids=str)
@both_dtypes
def test_local_attention_and_its_gradients_equal_their_formula(shape, connected, dtype):
    check("local_attention", of_attention(connected, *shape), (), dtype)


@pytest.mark.parametrize("seed", range(8))
def test_at_random_shapes(seed):
    draw = torch.Generator().manual_seed(seed)
    numbers = [int(torch.randint(1, most + 1, (), generator=draw)) for most in (3, 40, 20, 70, 4, 4)]
    K = 2 * numbers[4] - 1
    check("adaptive_conv", of_conv(*numbers[:4], K), (K,), torch.float64)
    check("range_weights", of_range(*numbers[:4], K), (K,), torch.float64)
    check("local_attention", of_attention(list(formula.CONNECTED)[seed % 5], *numbers), (), torch.float64)


def test_their_formulas_are_loops_over_their_definition():
    for shape in ((1, 2, 4, 5, 3), (2, 1, 2, 1, 5)):
        given = tensors(of_conv(*shape))
        assert_close(formula.adaptive_conv(*given, shape[4]), loops.adaptive_conv(*given, shape[4]), 1e-13)
        given = tensors(of_range(*shape))
        assert_close(formula.range_weights(*given, shape[4]), loops.range_weights(*given, shape[4]), 1e-12)
    for connected, taps in formula.CONNECTED.items():
        assert len(taps) == connected and taps == sorted(taps) and [(-i, -j) for i, j in taps[::-1]] == taps
        given = tensors(of_attention(connected, 1, 2, 2, 3, 2, 2))
        assert_close(formula.local_attention(*given), loops.local_attention(*given, taps), 1e-13)


def test_mirrors_are_those_of_torchs_padding():
    value, weight = tensors(of_conv(2, 3, 5, 6, 7))
    windows = F.unfold(F.pad(value, [3] * 4, mode="reflect"), 7).reshape(2, 3, 49, 5, 6)
    assert_close(upwell.ops.adaptive_conv(value, weight, 7), torch.einsum("nkyx,nckyx->ncyx", weight, windows), 1e-12)


OPERATORS = {
    "adaptive_conv": (of_conv(1, 2, 3, 4, 5), (5,)),
    "range_weights": (of_range(1, 2, 3, 4, 3), (3,)),
    "local_attention": (of_attention(13, 1, 2, 2, 3, 2, 2), ()),
}
every_operator = pytest.mark.parametrize("name", OPERATORS)


def bound(name: str):
    return lambda *given: getattr(upwell.ops, name)(*given, *OPERATORS[name][1])


@every_operator
def test_gradcheck(name):
    given = [tensor.requires_grad_() for tensor in tensors(OPERATORS[name][0])]
    assert torch.autograd.gradcheck(bound(name), given)


@every_operator
def test_opcheck_passes(name):
    operator = getattr(torch.ops.upwell, name).default
    given = [tensor.requires_grad_() for tensor in tensors(OPERATORS[name][0], torch.float32)]
    torch.library.opcheck(operator, (*given, *OPERATORS[name][1]))


@every_operator
def test_they_can_be_differentiated_twice(name):
    given = [tensor.requires_grad_() for tensor in tensors(OPERATORS[name][0])]
    assert torch.autograd.gradgradcheck(bound(name), given, fast_mode=True)


LARGER = {
    "adaptive_conv": of_conv(2, 19, 30, 50, 5),
    "range_weights": of_range(2, 19, 30, 50, 3),
    "local_attention": of_attention(13, 2, 19, 12, 20, 3, 2),
}


@every_operator
def test_the_same_bits_on_one_thread_and_on_two(name):
    given, runs = tensors(LARGER[name], torch.float32), []
    for count in (1, 2, 2):
        torch.set_num_threads(count)
        runs.append(results(bound(name), given))
    for run in runs[1:]:
        assert all(torch.equal(a, b) for a, b in zip(run, runs[0]))


@every_operator
@pytest.mark.parametrize("layout", [channels_last, transposed, sliced], ids=lambda layout: layout.__name__)
def test_any_strides(name, layout):
    given = tensors(OPERATORS[name][0])
    strided = [layout(tensor) if tensor.dim() == 4 else tensor for tensor in given]
    for a, e in zip(results(bound(name), strided), results(bound(name), given)):
        assert torch.equal(a, e)


@every_operator
def test_nothing_to_sum(name):
    shapes, _ = OPERATORS[name]
    given = tensors([(0, *shape[1:]) if len(shape) == 4 else shape for shape in shapes])
    output, *gradients = results(bound(name), given)
    assert output.shape[0] == 0 and all(not gradient.any() for gradient in gradients)


@pytest.mark.parametrize("name", ["adaptive_conv", "local_attention"])
def test_no_channels(name):
    value, weight = tensors(OPERATORS[name][0])
    output, d_value, d_weight = results(bound(name), [value[:, :0], weight])
    assert output.shape == (1, 0, *weight.shape[2:]) and d_value.numel() == 0 and not d_weight.any()


@every_operator
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_16_bits_are_computed_in_float32(name, dtype):
    given = [tensor.to(dtype) for tensor in tensors(LARGER[name], torch.float32)]
    wide = results(bound(name), [tensor.float() for tensor in given])
    leaves = [tensor.detach().requires_grad_() for tensor in given]
    output = bound(name)(*leaves)
    assert output.dtype == dtype and torch.equal(output, wide[0].to(dtype))
    output.backward(random(tuple(output.shape), torch.float32, 9).to(dtype))
    assert all(leaf.grad.dtype == dtype and leaf.grad.isfinite().all() for leaf in leaves)


def test_weights_of_taps_far_from_each_other_stay_finite():
    """A range of 1e4, and a spatial factor that leaves next to nothing: the sum is at its least."""
    query, key, _ = tensors(of_range(1, 4, 5, 6, 3))
    close = 1e-7 if ON_OPENCL else 1e-9  # Halide writes a number for OpenCL, as that least, as a float
    for spatial in (torch.full((9,), 1e-9), torch.tensor([1.0, *[1e-12] * 8]), torch.zeros(9)):
        given = [300 * query, key, spatial.double()]
        expected = results(lambda *t: formula.range_weights(*t, 3), given)
        for a, e in zip(results(lambda *t: upwell.ops.range_weights(*t, 3), given), expected):
            assert a.isfinite().all()
            assert_close(a, e, close, scale=max(1e-12, largest(e)))


@pytest.mark.parametrize("radius, guidance, size", [(3, 3, (10, 13)), (1, 5, (7, 1)), (0, 1, (4, 6)), (2, 4, (1, 1))])
def test_a_joint_bilateral_upsampler_is_the_published_module(radius, guidance, size):
    module = moved(upwell.nn.JBULearnedRange(guidance, 6, 7, radius=radius)).eval()
    given = [random((2, 6, 3, 4), torch.float64, 1), random((2, guidance, *size), torch.float64, 2)]
    check_module(module, upsamplers.jbu, given)


def test_a_stack_of_them_is_the_published_module():
    given = [random((1, 5, 2, 3), torch.float64, 1), random((1, 3, 21, 37), torch.float64, 2)]
    check_module(moved(upwell.nn.JBUStack(5)).eval(), upsamplers.jbu_stack, given)


@pytest.mark.parametrize("connected", formula.CONNECTED)
@pytest.mark.parametrize("channels", [3, 9, 30])
@pytest.mark.parametrize("conv_res", [True, False])
def test_a_local_attender_is_the_published_module(connected, channels, conv_res):
    module = moved(upwell.nn.LocalAttender(channels, connected, conv_res))
    given = [random((2, channels, 6, 12), torch.float64, 1), random((2, 4, 3, 4), torch.float64, 2)]
    check_module(module, upsamplers.local_attender, given)


@pytest.mark.parametrize("name", golden.names("jbu") + golden.names("jbu_stack"))
@both_dtypes
def test_joint_bilateral_upsamplers_agree_with_the_golden_data(name, dtype):
    case = golden.load(name, dtype)
    case.hyper.pop("mode")
    module = upwell.nn.JBUStack if name.startswith("jbu_stack") else upwell.nn.JBULearnedRange
    check_golden(case, module(**case.hyper))


@pytest.mark.parametrize("name", ["jbu", "local_attender"])
def test_they_train_under_autocast(name):
    module, guide, x = upwell.nn.make(name, 8, 12, 2).eval(), torch.randn(2, 12, 8, 10), torch.randn(2, 8, 4, 5)
    exact = module(guide, x)
    with torch.autocast("cpu", torch.bfloat16):
        result = module(guide, x)
        result.float().square().mean().backward()
    assert (result - exact).abs().max() < 0.02 * exact.abs().max()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in module.parameters())


def moved(module: torch.nn.Module) -> torch.nn.Module:
    """Its parameters far from their initial values."""
    module = module.double()
    with torch.no_grad():
        for i, parameter in enumerate(module.parameters()):
            parameter.add_(random(parameter.shape, parameter.dtype, i), alpha=0.2)
    return module


def check_module(module: torch.nn.Module, published, given: list[torch.Tensor]) -> None:
    found = []
    for call in (module, lambda *t: published(module, *t)):
        module.zero_grad()
        found.append(results(call, given) + [parameter.grad for parameter in module.parameters()])
    for i, (actual, expected) in enumerate(zip(*found)):
        assert_close(actual, expected, 1e-10, f"result {i}", max(1.0, largest(expected)))


def test_published_initial_values_and_names():
    stack = upwell.nn.JBUStack(6)
    one = ["range_temp", "sigma_spatial"]
    one += [f"{part}.{i}.{what}" for part in ("range_proj", "fixup_proj") for i in (0, 3) for what in ("weight", "bias")]
    names = [f"up{i}.{name}" for i in (1, 2, 3, 4) for name in one] + ["fixup_proj.1.weight", "fixup_proj.1.bias"]
    assert sorted(stack.state_dict()) == sorted(names)
    assert stack.up2.range_temp.item() == 0 and stack.up2.sigma_spatial.item() == 1
    assert [each.p for each in stack.modules() if isinstance(each, torch.nn.Dropout2d)] == [0.1] * 8 + [0.2]


def test_dropout_acts_in_training_as_published():
    module = upwell.nn.JBULearnedRange(3, 4, 8).double()
    given = [random((1, 4, 3, 4), torch.float64, 1), random((1, 3, 6, 8), torch.float64, 2)]
    calls = []
    for call in (module, lambda *t: upsamplers.jbu(module, *t)):
        torch.manual_seed(5)
        calls.append(call(*given))
    assert_close(calls[0], calls[1], 1e-12)
    assert largest(module.eval()(*given) - calls[0]) > 1e-4


def test_a_constant_stays_what_it_is_without_the_correction():
    module = upwell.nn.JBULearnedRange(3, 4, 8).double()
    torch.nn.init.zeros_(module.fixup_proj[3].weight)
    torch.nn.init.zeros_(module.fixup_proj[3].bias)
    output = module(torch.ones(2, 4, 3, 5).double(), random((2, 3, 13, 9), torch.float64, 1))
    assert_close(output, torch.ones_like(output), 1e-12)


def test_make_builds_them():
    assert upwell.nn.make("jbu", 6, 5, 2, key_dim=9, radius=1).upsampler.range_proj[0].out_channels == 9
    assert upwell.nn.make("local_attender", 6, 5, 2, num_connected=17).conv1.out_channels == 17
