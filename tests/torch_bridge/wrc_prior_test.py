"""The data and the prior of weighted reverse convolution, against the layer's own torch operations in float64."""

import random as python_random

import pytest
import torch
import torch.nn.functional as F
import upwell
from torch import Tensor
from torch.library import opcheck

from bad_input_test import refused, zeros
from compare import assert_close
from half_test import HALVES, ulps_apart
from problems import LAYOUTS, random
from reference import wrc
from resfu_draws import assert_all_close, with_gradients

DTYPES = pytest.mark.parametrize(
    "dtype, tolerance", [(torch.float64, 1e-9), (torch.float32, 1e-4)], ids=["float64", "float32"]
)
SIDES = (1, 1, 2, 3, 5, 8, 15, 16, 17, 18, 33, 40)


def tensors(n: int, c: int, h: int, w: int, dtype: torch.dtype) -> list[Tensor]:
    """x, mixed, lam."""
    return [random((n, c, h, w), dtype, 0), random((n, 9 * c, h, w), dtype, 1), random((c,), dtype, 2).abs()]


def compare_prior(given: list[Tensor], scale: int, tolerance: float) -> None:
    actual = with_gradients(lambda leaves: upwell.ops.wrc_prior(*leaves, scale), given)
    exact = [tensor.double().contiguous() for tensor in given]
    expected = with_gradients(lambda leaves: wrc.prior(*leaves, scale), exact)
    assert_all_close(actual, expected, tolerance, f"{list(given[0].shape)} times {scale}")


def compare_data(given: list[Tensor], tolerance: float) -> None:
    actual = with_gradients(lambda leaves: upwell.ops.wrc_data(*leaves), given)
    expected = with_gradients(lambda leaves: wrc.data(*leaves), [tensor.double() for tensor in given])
    assert_all_close(actual, expected, tolerance, f"{list(given[0].shape)}")


@pytest.mark.parametrize("scale", [1, 2, 3, 4, 5])
@DTYPES
def test_the_prior_and_its_gradients_equal_the_reference(dtype, tolerance, scale):
    draw = python_random.Random(scale)
    shapes = [(1, 1, 1, 1), (2, 3, 5, 7), (1, 5, 16, 17)]
    shapes += [(draw.randint(1, 3), draw.randint(1, 9), draw.choice(SIDES), draw.choice(SIDES)) for _ in range(8)]
    for shape in shapes:
        compare_prior(tensors(*shape, dtype), scale, tolerance)


@DTYPES
def test_the_data_and_its_gradients_equal_the_reference(dtype, tolerance):
    for shape in [(1, 1, 1, 1), (2, 3, 5, 7), (2, 7, 40, 61)]:
        compare_data([random(shape, dtype, i) for i in range(2)], tolerance)


@pytest.mark.parametrize("scale", [1, 2, 4])
def test_mixing_before_upsampling_is_the_published_convolution_of_the_upsampled_map(scale):
    x, weight = random((2, 4, 9, 6), torch.float64, 0), random((4, 4, 3, 3), torch.float64, 1)
    lam = random((4,), torch.float64, 2).abs()

    def own(leaves):
        x, weight, lam = leaves
        return upwell.ops.wrc_prior(x, wrc.mix(x, weight), lam, scale)

    def published(leaves):
        x, weight, lam = leaves
        z = wrc.upsample(x, scale)
        precision = torch.log1p(F.conv2d(z, weight, padding=1) ** 2) + lam.view(-1, 1, 1)
        return precision, precision * z

    results = [with_gradients(call, [x, weight, lam]) for call in (own, published)]
    assert_all_close(*results, 1e-9, f"scale {scale}")


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_memory_layout_is_taken(layout):
    x, mixed, lam = tensors(2, 3, 6, 5, torch.float64)
    x, mixed = LAYOUTS[layout](x), LAYOUTS[layout](mixed)
    compare_prior([x, mixed, lam.repeat_interleave(2)[::2]], 2, 1e-9)
    compare_data([x, LAYOUTS[layout](mixed[:, :3])], 1e-9)


def test_a_gradient_that_has_any_layout_is_taken():
    x, mixed, lam = tensors(2, 3, 6, 5, torch.float64)
    gradients = [random((2, 3, 12, 10), torch.float64, i) for i in range(2)]
    expected = torch.ops.upwell.wrc_prior_backward(*gradients, x, mixed, lam, 2)
    for layout in LAYOUTS.values():
        actual = torch.ops.upwell.wrc_prior_backward(*map(layout, gradients), x, mixed, lam, 2)
        assert all(torch.equal(a, b) for a, b in zip(actual, expected))


@pytest.mark.parametrize("used", [0, 1])
def test_an_output_that_nothing_uses_has_a_gradient_of_zero(used):
    given = tensors(1, 2, 4, 5, torch.float64)
    pairs = [(upwell.ops.wrc_prior, wrc.prior, given, (3,))]
    pairs += [(upwell.ops.wrc_data, wrc.data, [given[0], given[1][:, :2]], ())]
    for own, reference, inputs, options in pairs:
        results = []
        for f in (own, reference):
            leaves = [t.detach().requires_grad_() for t in inputs]
            output = f(*leaves, *options)[used]
            cotangent = random(tuple(output.shape), torch.float64, 9)
            results.append(torch.autograd.grad(output, leaves, cotangent, materialize_grads=True))
        assert_all_close(*results, 1e-9, f"output {used}")


def test_a_batch_of_none_gives_nothing_and_gradients_of_zero():
    given = tensors(0, 3, 4, 5, torch.float32)
    outputs = with_gradients(lambda leaves: upwell.ops.wrc_prior(*leaves, 2), given)
    assert [list(t.shape) for t in outputs[:2]] == [[0, 3, 8, 10]] * 2
    assert [t.shape for t in outputs[2:]] == [t.shape for t in given] and not outputs[4].any()
    outputs = with_gradients(lambda leaves: upwell.ops.wrc_data(*leaves), [given[0], given[0]])
    assert all(list(t.shape) == [0, 3, 4, 5] for t in outputs)


PRIOR = [t.requires_grad_() for t in tensors(2, 2, 3, 4, torch.float64)]
DATA = [random((2, 2, 3, 4), torch.float64, i).requires_grad_() for i in range(2)]
CALLS = {"wrc_prior": (*PRIOR, 2), "wrc_prior at scale 1": (*PRIOR, 1), "wrc_data": tuple(DATA)}
every_call = pytest.mark.parametrize("name", CALLS)


def operator(name: str):
    return getattr(torch.ops.upwell, name.split()[0])


def backward(name: str) -> tuple:
    """The backward operator and its arguments."""
    arguments = [a.detach() if isinstance(a, Tensor) else a for a in CALLS[name]]
    gradients = [torch.randn_like(output) for output in operator(name)(*arguments)]
    return getattr(torch.ops.upwell, f"{name.split()[0]}_backward"), (*gradients, *arguments)


@every_call
def test_opcheck_passes(name):
    opcheck(operator(name).default, CALLS[name])
    op, arguments = backward(name)
    opcheck(op.default, arguments)


@every_call
def test_gradients_pass_gradcheck_in_float64(name):
    leaves = [a for a in CALLS[name] if isinstance(a, Tensor)]
    options = CALLS[name][len(leaves) :]
    assert torch.autograd.gradcheck(lambda *given: operator(name)(*given, *options), leaves)


def test_torch_compile_traces_both_in_one_graph_forward_and_backward():
    torch._dynamo.reset()

    def call(leaves):
        x, weight, response, lam = leaves
        sample_weight, sample = upwell.ops.wrc_data(x, response)
        return *upwell.ops.wrc_prior(sample, wrc.mix(x, weight), lam, 3), sample_weight

    shapes = [(1, 2, 3, 4), (2, 2, 3, 3), (1, 2, 3, 4), (2,)]
    inputs = [random(shape, torch.float64, i) for i, shape in enumerate(shapes)]
    compiled = torch.compile(call, fullgraph=True, dynamic=False, backend="aot_eager")
    for expected, actual in zip(*(with_gradients(f, inputs) for f in (call, compiled))):
        torch.testing.assert_close(actual, expected, rtol=1e-11, atol=1e-11)


@DTYPES
@pytest.mark.parametrize("shape, scale", [((1, 1, 50, 40), 4), ((2, 9, 35, 37), 3)], ids=str)
def test_results_are_bit_identical_for_any_number_of_threads(shape, scale, dtype, tolerance):
    given = tensors(*shape, dtype)

    def run(threads: int) -> list[Tensor]:
        torch.set_num_threads(threads)
        prior = with_gradients(lambda leaves: upwell.ops.wrc_prior(*leaves, scale), given)
        return prior + with_gradients(lambda leaves: upwell.ops.wrc_data(*leaves), [given[0], given[0] + 1])

    first = run(1)
    for threads in (1, 2, 3):
        assert all(torch.equal(a, b) for a, b in zip(first, run(threads))), f"{threads} threads differ from 1"


@DTYPES
def test_a_tiny_response_keeps_its_digits_and_a_huge_one_is_no_overflow(dtype, tolerance):
    """Each element by itself: log1p(u^2) from 1e-30 to 80."""
    response = torch.logspace(-15, 17, 33, dtype=torch.float64).to(dtype).view(1, 1, 3, 11)
    one = torch.ones_like(response)
    weight, weighted = upwell.ops.wrc_data(one, response)
    mixed = torch.zeros_like(one).expand(1, 9, 3, 11).clone()
    mixed[:, 4] = response[:, 0]
    precision, _ = upwell.ops.wrc_prior(one, mixed, one.new_zeros(1), 1)
    expected = torch.log1p(response.double() ** 2)
    close = 1e-9 if dtype == torch.float64 else 2e-6
    for actual in (weight, weighted, precision):
        assert (actual.double() / expected - 1).abs().max() < close
    infinite = torch.full_like(response, 1e300 if dtype == torch.float64 else 1e30)
    assert upwell.ops.wrc_data(one, infinite)[0].isinf().all()
    assert not torch.ops.upwell.wrc_data_backward(one, one, one, infinite)[1].any()


@DTYPES
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("scale", [1, 2, 3])
def test_a_nan_comes_out_as_one_and_stays_with_the_pixels_that_read_it(scale, bad, dtype, tolerance):
    for poisoned in (0, 1):
        given = tensors(1, 2, 7, 23, dtype)
        given[poisoned][0, 4 if poisoned else 0, 3, 11] = bad
        clean = [t.nan_to_num(nan=0.5, posinf=0.5) for t in given]
        (precision, weighted), healthy = (upwell.ops.wrc_prior(*t, scale) for t in (given, clean))
        reach = 2 * scale + 1
        outside = torch.ones(7 * scale, 23 * scale, dtype=torch.bool)
        row, column = 3 * (7 * scale - 1) // 6, 11 * (23 * scale - 1) // 22
        outside[max(row - reach, 0) : row + reach + 2, max(column - reach, 0) : column + reach + 2] = False
        assert not (weighted if poisoned == 0 else precision).isfinite().all()
        assert poisoned or precision.isfinite().all()
        for actual, expected in zip((precision, weighted), healthy):
            assert torch.equal(actual[..., outside], expected[..., outside])
    data = upwell.ops.wrc_data(zeros(1, 1, 1, 3).to(dtype) + 1, zeros(1, 1, 1, 3).to(dtype) + bad)
    assert not data[0].isfinite().any() and not data[1].isfinite().any()


@pytest.mark.parametrize("dtype", HALVES)
def test_16_bits_are_computed_in_float32_and_autocast_asks_for_float32(dtype):
    x, mixed, lam = tensors(2, 3, 5, 6, dtype)
    calls = [lambda *t: upwell.ops.wrc_prior(*t, 2), lambda x, mixed, lam: upwell.ops.wrc_data(x, mixed[:, :3])]
    for call in calls:
        wide = call(x.float(), mixed.float(), lam.float())
        for actual, expected in zip(call(x, mixed, lam), wide):
            assert actual.dtype == dtype and ulps_apart(actual, expected.to(dtype)) == 0
        with torch.autocast("cpu", torch.bfloat16):
            for actual, expected in zip(call(x, mixed, lam), wide):
                assert torch.equal(actual, expected)
    leaves = [t.requires_grad_() for t in (x, mixed, lam)]
    outputs = upwell.ops.wrc_prior(*leaves, 2)
    assert all(g.dtype == dtype for g in torch.autograd.grad(outputs, leaves, [torch.ones_like(t) for t in outputs]))


def prior_with(**changed):
    return upwell.ops.wrc_prior(
        **{"x": zeros(2, 3, 4, 5), "mixed": zeros(2, 27, 4, 5), "lam": zeros(3), "scale": 2, **changed}
    )


def test_bad_input_is_refused_by_name_and_shape():
    prior_with()
    for name, wrong in [
        ("x", zeros(2, 3, 4)),
        ("x", zeros(2, 3, 0, 5)),
        ("mixed", zeros(2, 3, 4, 5)),
        ("mixed", zeros(2, 27, 5, 4)),
        ("mixed", zeros(27, 4, 5)),
        ("lam", zeros(2)),
        ("lam", zeros(3, 1)),
    ]:
        with refused(f"wrc_prior: {name} should", str(list(wrong.shape))):
            prior_with(**{name: wrong})
    for name, tensor in [("mixed", zeros(2, 27, 4, 5)), ("lam", zeros(3))]:
        with refused(f"wrc_prior: {name} should be Float like x but is Double"):
            prior_with(**{name: tensor.double()})
        with refused(f"wrc_prior: {name} should be on cpu like x but is on meta"):
            prior_with(**{name: tensor.to("meta")})
    for scale in (0, -1, 2**31):
        with refused("wrc_prior: scale should", str(scale)):
            prior_with(scale=scale)
    with refused("wrc_prior: precision should have at most 2147483647 elements"):
        prior_with(scale=2**14)
    with refused("wrc_data: response should be [2, 3, 4, 5]", "[2, 3, 5, 4]"):
        upwell.ops.wrc_data(zeros(2, 3, 4, 5), zeros(2, 3, 5, 4))
    with refused("wrc_data: x should be float32", "Int"):
        upwell.ops.wrc_data(zeros(2, 3, 4, 5).int(), zeros(2, 3, 4, 5).int())


@every_call
def test_a_gradient_that_does_not_fit_is_refused(name):
    op, arguments = backward(name)
    for i, which in enumerate(("d_precision", "d_weighted") if "prior" in name else ("d_weight", "d_weighted")):
        for wrong in (zeros(1, 2, 3), arguments[i][:, :1], arguments[i].float()):
            with refused(f"{name.split()[0]}_backward: {which} should"):
                op(*arguments[:i], wrong, *arguments[i + 1 :])


def test_the_backward_operator_keeps_nothing_but_the_inputs():
    given = [t.requires_grad_() for t in tensors(1, 2, 8, 8, torch.float32)]
    saved = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: saved.append(t.data_ptr()) or t, lambda t: t):
        upwell.ops.wrc_prior(*given, 4)
    assert set(saved) == {t.data_ptr() for t in given}


def test_gradients_are_those_of_one_plane_however_many_there_are():
    """More planes than a task has, and a number that no task divides."""
    given = tensors(3, 7, 6, 18, torch.float32)
    results = with_gradients(lambda leaves: upwell.ops.wrc_prior(*leaves, 2), given)
    gradients = [random((3, 7, 12, 36), torch.float32, 100 + i) for i in range(2)]
    single = torch.ops.upwell.wrc_prior_backward(
        *(g[2:, 4:5] for g in gradients), given[0][2:, 4:5], given[1][2:, 36:45], given[2][4:5], 2
    )
    assert_close(results[2][2:, 4:5], single[0], 1e-6)
    assert_close(results[3][2:, 36:45], single[1], 1e-6)
