"""The exact solver of weighted reverse convolution against dense linear algebra in float64."""

import random as python_random
import re
import warnings

import pytest
import torch
import upwell
from torch import Tensor
from torch.library import opcheck

from bad_input_test import refused, zeros
from compare import assert_close
from golden import load, names
from half_test import HALVES, ulps_apart
from problems import LAYOUTS, random
from reference import wrc
from resfu_draws import assert_all_close, with_gradients

TOLERANCE = {torch.float64: 1e-13, torch.float32: 1e-6}


@pytest.fixture(autouse=True)
def one_thread():
    """The dense solver of the reference may wait for ever for a second one after torch.set_num_threads."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def no_warning(warned):
    yield
    assert "residual" not in warned()


def problem(n: int, c: int, h: int, w: int, kernel: tuple[int, int], scale: int, dtype=torch.float64, seed=0):
    """precision, weighted, data_weight, data, weight."""
    high = (n, c, scale * h, scale * w)
    precision = 0.1 + 1.9 * random(high, dtype, seed).sigmoid()
    data_weight = torch.log1p(random((n, c, h, w), dtype, seed + 2) ** 2)
    return [
        precision,
        random(high, dtype, seed + 1),
        data_weight,
        random((n, c, h, w), dtype, seed + 3),
        random((c, *kernel), dtype, seed + 4),
    ]


def draws(seed: int, count: int, square: bool = True):
    """Sizes and scale: maps of one pixel, kernels as large as the image, even ones, larger than the scale."""
    draw = python_random.Random(seed)
    for i in range(count):
        scale = draw.choice((1, 2, 3, 4))
        h, w = draw.choice((1, 2, 3, 5)), draw.choice((1, 2, 3, 4, 6))
        most = min(5, scale * min(h, w))
        kernel = [draw.choice((1, 2, 3, 4, 5, most)) for _ in range(2)]
        kernel = [min(side, most) for side in kernel]
        yield (draw.choice((1, 2)), draw.choice((1, 3)), h, w, (kernel[0],) * 2 if square else tuple(kernel), scale)


def compare(tensors: list[Tensor], scale: int, tolerance: float, what: str) -> None:
    dtype = tensors[0].dtype
    actual = with_gradients(
        lambda given: upwell.ops.wrc_exact(*given, scale, TOLERANCE[dtype], 1000), tensors
    )
    expected = with_gradients(lambda given: wrc.exact(*given, scale), [t.double().contiguous() for t in tensors])
    assert_all_close(actual, expected, tolerance, what)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    "dtype, tolerance", [(torch.float64, 1e-9), (torch.float32, 1e-4)], ids=["float64", "float32"]
)
def test_the_solution_and_its_gradients_equal_dense_linear_algebra(dtype, tolerance, seed):
    for sizes in draws(seed, 12):
        compare(problem(*sizes, dtype=dtype, seed=seed), sizes[-1], tolerance, str(sizes))


@pytest.mark.parametrize(
    "sizes",
    [(1, 2, 3, 19, (3, 3), 2), (2, 1, 18, 2, (3, 3), 2), (1, 1, 5, 17, (5, 5), 1), (1, 1, 2, 17, (3, 3), 4)],
    ids=str,
)
def test_maps_of_more_columns_than_a_vector_and_more_rows_than_a_strip(sizes):
    compare(problem(*sizes), sizes[-1], 1e-9, str(sizes))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_memory_layout_is_taken(layout):
    tensors = problem(2, 3, 3, 4, (3, 3), 2)
    tensors = [LAYOUTS[layout](t) if t.dim() == 4 else t.repeat_interleave(2, -1)[..., ::2] for t in tensors]
    compare(tensors, 2, 1e-9, layout)


@pytest.mark.parametrize("kernel", [(1, 4), (3, 2), (5, 1)], ids=str)
def test_an_oblong_kernel_is_a_square_one_with_zeros(kernel):
    """The reference takes square kernels only: K x K, with the centre on the same element."""
    tensors = problem(1, 2, 3, 4, kernel, 2)
    square = torch.zeros(2, 5, 5, dtype=torch.float64)
    rows, columns = kernel
    top, left = 2 - rows // 2, 2 - columns // 2
    square[:, top : top + rows, left : left + columns] = tensors[4]
    actual = with_gradients(lambda given: upwell.ops.wrc_exact(*given, 2, 1e-13), tensors)
    expected = with_gradients(lambda given: wrc.exact(*given, 2), [*tensors[:4], square])
    expected[-1] = expected[-1][:, top : top + rows, left : left + columns]
    assert_all_close(actual, expected, 1e-9, str(kernel))


@pytest.mark.parametrize("sizes", [(1, 2, 2, 3, (3, 3), 2), (1, 1, 3, 2, (2, 2), 3), (2, 1, 2, 2, (2, 2), 1)], ids=str)
def test_gradients_pass_gradcheck(sizes):
    leaves = [tensor.requires_grad_() for tensor in problem(*sizes)]
    call = lambda *given: upwell.ops.wrc_exact(*given, sizes[-1], 1e-13)
    assert torch.autograd.gradcheck(call, leaves)


@pytest.mark.parametrize("scale", [2, 4])
def test_opcheck_passes_forward_and_backward(scale):
    tensors = problem(1, 2, 3, 4, (3, 3), scale)
    leaves = [tensor.clone().requires_grad_() for tensor in tensors]
    opcheck(torch.ops.upwell.wrc_exact.default, (*leaves, scale, 1e-12, 100))
    output = upwell.ops.wrc_exact(*tensors, scale)
    d_output = torch.randn_like(output)
    precision, _, *rest = tensors
    opcheck(
        torch.ops.upwell.wrc_exact_backward.default, (d_output, output, precision, *rest, scale, 1e-12, 100)
    )


def test_torch_compile_traces_it_in_one_graph():
    torch._dynamo.reset()
    tensors = problem(1, 2, 3, 4, (3, 3), 2)
    call = lambda given: upwell.ops.wrc_exact(*given, 2, 1e-12) * 2
    compiled = torch.compile(call, fullgraph=True, dynamic=False, backend="aot_eager")
    for actual, expected in zip(with_gradients(compiled, tensors), with_gradients(call, tensors), strict=True):
        assert torch.equal(actual, expected)


def golden_problem(name: str, dtype: torch.dtype):
    case = load(name, dtype)
    s, pad = case.hyper["scale"], case.hyper["padding"]
    x = torch.nn.functional.pad(case.inputs["x"], [pad] * 4, mode=case.hyper["padding_mode"])
    weight, response = wrc.data(x, torch.nn.functional.conv2d(x, case.parameters["w_conv_low.weight"], padding=1))
    lam = torch.nn.functional.softplus(case.parameters["bias"]).flatten() + case.hyper["eps"]
    prior = wrc.prior(x, wrc.mix(x, case.parameters["w_conv_high.weight"]), lam, s)
    return [*prior, weight, x, case.parameters["weight"][0]], s


@pytest.mark.parametrize("name", names("wrc"))
def test_on_golden_inputs_the_residual_is_small_and_the_objective_below_what_others_reach(name):
    given, scale = golden_problem(name, torch.float32)
    exact = [tensor.double() for tensor in given]
    X = upwell.ops.wrc_exact(*given, scale, 1e-4).double()
    closed = wrc.spectral(*exact[:3], exact[2] * exact[3], exact[4], scale)
    start = exact[1] / exact[0]
    residuals = [wrc.residual(x, *exact, scale).item() for x in (X, closed, start)]
    objectives = [wrc.objective(x, *exact, scale).item() for x in (X, closed, start)]
    print(f"{name}: residuals exact, spectral, prior {residuals}, objectives {objectives}")
    assert residuals[0] <= 1e-3
    assert objectives[0] < objectives[1] and objectives[0] < objectives[2]


def test_where_no_data_have_a_weight_the_solution_is_the_prior():
    for kernel in ((2, 2), (3, 3)):
        precision, weighted, data_weight, data, k = problem(2, 2, 3, 4, kernel, 2)
        tensors = [precision, weighted, torch.zeros_like(data_weight), data, k]
        assert_close(upwell.ops.wrc_exact(*tensors, 2), weighted / precision, 1e-15)
        data_weight[:, :, ::2] = 0
        data_weight[0, 1] = 0
        compare([precision, weighted, data_weight, data, k], 2, 1e-9, "some")


def test_a_hard_plane_does_not_change_the_bits_of_an_easy_one():
    precision, weighted, data_weight, data, weight = problem(1, 3, 5, 6, (3, 3), 1, torch.float32)
    precision[:, 1] *= 1e-2
    data_weight[:, 1] *= 100
    data_weight[:, 2] = 0
    tensors = [precision, weighted, data_weight, data, weight]
    together = upwell.ops.wrc_exact(*tensors, 1, 1e-6, 1000)
    for c in (0, 2):
        alone = upwell.ops.wrc_exact(*[t[:, c : c + 1] for t in tensors[:4]], weight[c : c + 1], 1, 1e-6, 1000)
        assert torch.equal(together[:, c : c + 1], alone)
    compare([t.double() for t in tensors], 1, 1e-9, "hard and easy")


def test_a_tolerance_of_0_takes_every_step_and_stays_right_when_there_is_nothing_left_to_do():
    for dtype, tolerance in ((torch.float64, 1e-9), (torch.float32, 1e-4)):
        tensors = problem(1, 2, 4, 5, (3, 3), 2, dtype)
        expected = wrc.exact(*[t.double() for t in tensors], 2)
        assert_close(upwell.ops.wrc_exact(*tensors, 2, 0, 400), expected, tolerance)
    few = upwell.ops.wrc_exact(*tensors, 2, 0, 1)
    assert not torch.allclose(few.double(), expected, rtol=1e-4, atol=1e-4)


def test_a_solution_that_is_not_reached_is_given_back_with_a_warning(warned):
    tensors = [t.requires_grad_() for t in problem(1, 1, 5, 6, (5, 5), 1)]
    output = upwell.ops.wrc_exact(*tensors, 1, 1e-10, 2)
    warning = warned()
    said = "wrc_exact: .*residual is still .* after 2 iterations.* tolerance is 1e-10; max_iterations or tolerance should be larger"
    assert re.fullmatch(said, warning), warning
    assert output.isfinite().all()
    with pytest.warns(UserWarning, match="wrc_exact_backward: .*residual is still .* after 2 iterations"):
        output.sum().backward()


def test_a_warning_is_pythons_of_the_line_that_called(capfd):
    tensors = problem(1, 1, 5, 6, (5, 5), 1)
    for call in (upwell.ops.wrc_exact, torch.ops.upwell.wrc_exact):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            call(*tensors, 1, 1e-10, 2)
        assert [warning.category for warning in caught] == [UserWarning] and caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(RuntimeError, match="wrc_exact: .*residual is still"):
            upwell.ops.wrc_exact(*tensors, 1, 1e-10, 2)
    shown = capfd.readouterr()
    assert not shown.out + shown.err


@pytest.mark.parametrize("size", [1e-36, 1e-24, 1e-20, 1e19, 1e33])
@pytest.mark.parametrize("kernel", [2, 5])
def test_values_whose_squares_no_float_holds_are_solved_all_the_same(kernel, size, no_warning):
    """The solution is linear in weighted and data, and its gradients to them are in that of the solution."""
    precision, weighted, data_weight, data, taps = problem(1, 2, 5, 6, (kernel, kernel), 2)
    taps = taps / kernel**2
    gradients = []
    for factor in (1, size):
        leaves = [(factor * tensor).requires_grad_() for tensor in (weighted, data)]
        output = upwell.ops.wrc_exact(precision, leaves[0], data_weight, leaves[1], taps, 2, 1e-6)
        cotangent = torch.full_like(output, factor)
        gradients.append([output / factor, *(g / factor for g in torch.autograd.grad(output, leaves, cotangent))])
    for actual, expected in zip(*reversed(gradients)):
        assert_close(actual, expected, 1e-4)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("argument", range(4))
@pytest.mark.parametrize("kernel", [2, 3])
def test_a_map_that_is_not_finite_ends_with_a_warning(kernel, argument, value, warned):
    tensors = problem(1, 1, 3, 4, (kernel, kernel), 2)
    tensors[argument].view(-1)[1] = value
    if argument == 0 and value == float("inf"):
        return  # a pixel that is known
    output = upwell.ops.wrc_exact(*tensors, 2)
    assert "wrc_exact: the residual is not finite" in warned()
    assert (output.isnan().any() if kernel > 2 or value != value else not output.isfinite().all())


def test_a_batch_of_none_gives_nothing_and_gradients_of_zero():
    tensors = problem(2, 2, 3, 4, (3, 3), 2)
    tensors = [*[t[:0] for t in tensors[:4]], tensors[4]]
    output, *gradients = with_gradients(lambda given: upwell.ops.wrc_exact(*given, 2), tensors)
    assert output.shape == (0, 2, 6, 8)
    for tensor, gradient in zip(tensors, gradients, strict=True):
        assert gradient.shape == tensor.shape and not gradient.any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_results_have_the_same_bits_for_any_number_of_threads(dtype):
    tensors = problem(2, 5, 19, 21, (3, 3), 2, dtype)
    results = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        results.append(with_gradients(lambda given: upwell.ops.wrc_exact(*given, 2), tensors))
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


@pytest.mark.parametrize("dtype", HALVES)
def test_16_bits_are_computed_in_float32(dtype):
    tensors = [tensor.to(dtype) for tensor in problem(1, 2, 4, 5, (3, 3), 2, torch.float32)]
    call = lambda given: upwell.ops.wrc_exact(*given, 2)
    output, *gradients = with_gradients(call, tensors)
    wide_output, *wide_gradients = with_gradients(call, [t.float() for t in tensors])
    assert output.dtype == dtype and ulps_apart(output, wide_output.to(dtype)) <= 2
    for narrow, wide in zip(gradients, wide_gradients, strict=True):  # found with the output as it was rounded
        assert narrow.dtype == dtype
        assert_close(narrow, wide, 2e-2)
    with torch.autocast("cpu", torch.bfloat16):
        assert call(tensors).dtype == torch.float32


RIGHT = {
    "precision": (2, 3, 6, 8),
    "weighted": (2, 3, 6, 8),
    "data_weight": (2, 3, 3, 4),
    "data": (2, 3, 3, 4),
    "weight": (3, 3, 3),
}


def call(scale: int = 2, tolerance: float = 1e-4, max_iterations: int = 100, **changed):
    tensors = {name: zeros(*shape) + 1 for name, shape in RIGHT.items()}
    tensors.update(changed)
    return upwell.ops.wrc_exact(*tensors.values(), scale, tolerance, max_iterations)


@pytest.mark.parametrize("name", RIGHT)
def test_a_tensor_that_does_not_fit_is_refused(name):
    call()
    shape = RIGHT[name]
    named = "" if name in ("precision", "data") else name  # what others are compared with
    for dimension in range(len(shape) - (2 if name == "weight" else 0)):
        wrong = [extent + (i == dimension) for i, extent in enumerate(shape)]
        with refused(f"wrc_exact: {named}"):
            call(**{name: zeros(*wrong)})
    for wrong in (zeros(3, 3, 3, 3, 3), zeros(), zeros(2, 2)):
        with refused(f"wrc_exact: {name} should", str(list(wrong.shape))):
            call(**{name: wrong})
    for wrong in (zeros(*shape).double(), zeros(*shape).to("meta"), zeros(*shape).half()):
        with refused(f"wrc_exact: {'' if name == 'precision' else named}"):
            call(**{name: wrong})


@pytest.mark.parametrize("shape", [(3, 7, 3), (3, 3, 9), (3, 0, 3), (3, 3, 0)], ids=str)
def test_a_weight_larger_than_the_image_or_without_elements_is_refused(shape):
    with refused("wrc_exact: weight should", str(list(shape))):
        call(weight=zeros(*shape))


@pytest.mark.parametrize(
    "changed",
    [
        *[{"scale": scale} for scale in (0, -1, 2**40)],
        *[{"tolerance": tolerance} for tolerance in (-1e-3, float("nan"), float("inf"))],
        *[{"max_iterations": steps} for steps in (0, -5)],
    ],
    ids=str,
)
def test_an_option_that_makes_no_sense_is_refused(changed):
    with refused(f"wrc_exact: {next(iter(changed))} should", "but is"):
        call(**changed)


def test_the_backward_operator_refuses_what_does_not_fit():
    tensors = [zeros(*shape) + 1 for shape in RIGHT.values()]
    high, (precision, _, *rest) = zeros(*RIGHT["precision"]), tensors
    backward = torch.ops.upwell.wrc_exact_backward
    backward(high, high, precision, *rest, 2, 1e-4, 100)
    for name, wrong in (("d_output", (zeros(2, 3, 6, 7), high)), ("output", (high, zeros(1, 3, 6, 8)))):
        with refused(f"wrc_exact_backward: {name} should be"):
            backward(*wrong, precision, *rest, 2, 1e-4, 100)
