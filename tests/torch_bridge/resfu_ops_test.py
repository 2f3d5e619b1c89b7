"""The operators of ReSFU, and ReSFU made of them, against compositions of torch operators in float64."""

import random as python_random

import pytest
import torch
import upwell

import resfu_draws
from compare import assert_close
from problems import LAYOUTS, random
from reference import composition
from resfu_draws import assert_all_close, with_gradients

OPERATORS = ["group_stats", "guided_filter", "pcdc", "pcdc_scores"]
every_operator = pytest.mark.parametrize("operator", OPERATORS)


def draws(operator: str, seed: int, count: int) -> list[resfu_draws.Call]:
    draw = python_random.Random(f"{operator} {seed}")
    return [getattr(resfu_draws, operator)(draw) for _ in range(count)]


def compare(call: resfu_draws.Call, tensors: list[torch.Tensor], tolerance: float) -> None:
    actual = with_gradients(lambda given: call.run(upwell.ops, given), tensors)
    exact = [tensor.double().contiguous() for tensor in tensors]
    expected = with_gradients(lambda given: call.run(composition, given), exact)
    assert_all_close(actual, expected, tolerance, str(call))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    "dtype, tolerance", [(torch.float64, 1e-9), (torch.float32, 1e-4)], ids=["float64", "float32"]
)
@every_operator
def test_an_operator_and_its_gradients_equal_the_composition(operator, dtype, tolerance, seed):
    for call in draws(operator, seed, 10 if dtype == torch.float64 else 20):
        if dtype == torch.float64 or call.has_variance:
            compare(call, call.tensors(dtype), tolerance)


@pytest.mark.parametrize("layout", LAYOUTS)
@every_operator
def test_an_operator_takes_every_memory_layout(operator, layout):
    for call in draws(operator, 10, 2):
        tensors = [
            LAYOUTS[layout](tensor) if tensor.dim() == 4 else tensor.repeat_interleave(2, -1)[..., ::2]
            for tensor in call.tensors(torch.float64)
        ]
        compare(call, tensors, 1e-9)


@every_operator
def test_a_batch_of_none_gives_nothing_and_gradients_of_zero(operator):
    for call in draws(operator, 20, 3):
        maps = 1 if operator == "group_stats" else 2
        tensors = [t[:0] if i < maps else t for i, t in enumerate(call.tensors(torch.float32))]
        outputs = call.run(upwell.ops, tensors)
        results = with_gradients(lambda given: call.run(upwell.ops, given), tensors)
        assert all(len(output) == 0 for output in outputs)
        for tensor, gradient in zip(tensors, results[len(outputs) :], strict=True):
            assert gradient.shape == tensor.shape and not gradient.any()


@pytest.mark.parametrize("seed", range(8))
def test_resfu_and_every_gradient_equal_the_composition(seed):
    draw = python_random.Random(f"resfu {seed}")
    for i in range(6):
        options, *shapes = resfu_draws.resfu(draw)
        module = perturbed(upwell.nn.ReSFU(**options).double())
        tensors = [random(shape, torch.float64, i) for shape in shapes]

        def run(call):
            y, x = (tensor.detach().requires_grad_() for tensor in tensors)
            output = call(module, y, x)
            cotangent = random(tuple(output.shape), torch.float64, 9)
            leaves = [y, x, *module.parameters()]
            gradients = torch.autograd.grad(output, leaves, cotangent, materialize_grads=True)
            return [output.detach(), *gradients]

        actual, expected = run(upwell.nn.ReSFU.__call__), run(composition.resfu)
        assert_all_close(actual, expected, 1e-9, f"{options} {shapes}")


def perturbed(module: torch.nn.Module) -> torch.nn.Module:
    """No parameter is left at 0 or 1, where a wrong gradient could hide."""
    with torch.no_grad():
        for i, parameter in enumerate(module.parameters()):
            parameter += 0.2 * random(tuple(parameter.shape), parameter.dtype, 50 + i)
    return module


@pytest.mark.parametrize("options", [{}, {"blur": True}, {"size": (30, 51)}], ids=str)
@pytest.mark.parametrize("groups", [1, 4])
def test_statistics_in_float32_survive_a_mean_of_1000_times_the_spread(options, groups):
    x = 1000 + random((2, 8, 13, 17), torch.float32, 0)
    mean, rstd = upwell.ops.group_stats(x, groups, **options)
    expected_mean, expected_rstd = composition.group_stats(x.double(), groups, **options)
    assert_close(mean, expected_mean, 1e-6)
    assert_close(rstd, expected_rstd, 2e-5)


@pytest.mark.parametrize("groups", [1, 3, 6])
@pytest.mark.parametrize("n", [1, 3])
def test_a_folded_normalisation_is_the_convolution_of_the_normalised_map(n, groups):
    x, weight, *rest = (random(shape, torch.float64, i) for i, shape in enumerate([(n, 6, 5, 3), (4, 6), (4,), (6,), (6,)]))
    bias, norm_weight, norm_bias = rest

    def folded(x, weight, bias, norm_weight, norm_bias):
        statistics = upwell.ops.group_stats(x, groups, 1e-3)
        weight, bias = upwell.ops.fold_group_norm(weight, bias, norm_weight, norm_bias, *statistics)
        return torch.einsum("noc,ncyx->noyx", weight, x) + bias[:, :, None, None]

    def composed(x, weight, bias, norm_weight, norm_bias):
        normal = torch.group_norm(x, groups, norm_weight, norm_bias, 1e-3)
        return torch.einsum("oc,ncyx->noyx", weight, normal) + bias[:, None, None]

    given = [x, weight, bias, norm_weight, norm_bias]
    actual, expected = (with_gradients(lambda given: call(*given), given) for call in (folded, composed))
    assert_all_close(actual, expected, 1e-11, f"{n} samples, {groups} groups")


@pytest.mark.parametrize("mean", [1000, 10000])
@pytest.mark.parametrize("blur", [False, True])
def test_scores_in_float32_are_as_near_as_torchs_where_the_mean_of_the_key_is_large(blur, mean):
    shapes = ((1, 16, 24, 20), (1, 16, 24, 20), (16,), (128, 4, 3, 3), (128,), (128, 32), (128,), (128,), (128,), (9, 128), (9,))
    spread = (1, 1, 1, 0.2, 1, 0.2, 1, 1, 1, 0.1, 1)
    options = {"groups": 4, "norm_groups": 8, "ratio": (2, 1, 2, 1), "blur": blur}
    call = resfu_draws.Call("pcdc_scores", shapes, options, spread)
    tensors = call.tensors(torch.float32)
    tensors[0] = mean + tensors[0]
    (expected,) = call.run(composition, [tensor.double() for tensor in tensors])
    off = [(call.run(where, tensors)[0] - expected).abs().max() for where in (upwell.ops, composition)]
    assert off[0] <= off[1]


@pytest.mark.parametrize("radius, scale", [(4, 1), (8, 2), (40, 4)])
def test_the_guided_filter_in_float32_survives_a_mean_of_1000_times_the_spread(radius, scale):
    tensors = [1000 + random(shape, torch.float32, 1) for shape in ((2, 5, 17, 23), (2, 5, 6, 9))]
    call = resfu_draws.Call("guided_filter", (), {"radius": radius, "scale": scale}, ())
    actual = with_gradients(lambda given: call.run(upwell.ops, given), tensors)
    expected = with_gradients(lambda given: call.run(composition, given), [t.double() for t in tensors])
    assert_close(actual[0] - 1000, expected[0] - 1000, 3e-4)
    assert_all_close(actual[1:], expected[1:], 1e-5, str(call))
