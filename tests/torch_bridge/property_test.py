"""Laws that hold for every shape, ratio and memory layout."""

import hypothesis
import pytest
import torch
import upwell
from hypothesis import strategies

from compare import assert_close
from problems import EVERY_OPERATOR, LAYOUTS, OPERATORS, WEIGHTS, Problem, random
from reference import formula, loops

FLOAT64, FLOAT32 = 1e-12, 2e-6  # of the largest element; sums of at most some thousand terms


def extents(draw, longest: int) -> tuple[int, int]:
    """One axis: low-res pixels, and high-res pixels at an integer ratio 1..32 or any other number of them."""
    low = draw(strategies.integers(1, 7))
    if draw(strategies.booleans()):
        return low, low * draw(strategies.integers(1, min(32, max(1, longest // low))))
    return low, draw(strategies.integers(1, longest))


@strategies.composite
def problems(draw, operators=OPERATORS, longest: int = 40) -> Problem:
    """Any call that is allowed, small enough for the references."""
    operator = draw(strategies.sampled_from(operators))
    h, high_h = extents(draw, longest)
    w, high_w = extents(draw, longest)
    if operator in WEIGHTS and high_h % h == 0 and draw(strategies.booleans()):
        high_w = w * (
            high_h // h
        )  # the same integer ratio on both axes, where kernels of their own may exist
    groups = draw(strategies.integers(1, 3)) if operator.startswith("carafe") else 1
    return Problem(
        operator,
        (h, w),
        (high_h, high_w),
        draw(strategies.integers(0, 2)),
        groups * draw(strategies.integers(1, 9)),
        draw(strategies.sampled_from([3, 5, 7])),
        groups,
        draw(strategies.sampled_from(["zero", "mask"])) if operator == "carafe" else "zero",
        draw(strategies.integers(1, 9)) if operator == "fns" and draw(strategies.booleans()) else None,
    )


layouts = strategies.sampled_from(sorted(LAYOUTS))


@hypothesis.settings(max_examples=250)
@hypothesis.given(problems(), layouts, layouts, layouts, strategies.booleans())
def test_any_shape_ratio_and_layout_gives_the_formula_and_its_gradients(
    problem, first, second, third, double
):
    dtype, tolerance = (torch.float64, FLOAT64) if double else (torch.float32, 10 * FLOAT32)
    tensors, cotangent = problem.tensors(dtype), problem.cotangent(dtype)
    expected = problem.gradients(formula, [tensor.double() for tensor in tensors], cotangent.double())
    laid_out = [LAYOUTS[layout](tensor) for layout, tensor in zip((first, second), tensors)]
    output, gradients = problem.gradients(upwell.ops, laid_out, LAYOUTS[third](cotangent))
    assert output.dtype == dtype and output.is_contiguous()
    assert_close(output, expected[0], tolerance, "output")
    for name, actual, gradient in zip(("d_value", "d_weight"), gradients, expected[1]):
        assert actual.dtype == dtype
        assert_close(actual, gradient, tolerance, name)


@hypothesis.settings(max_examples=60)
@hypothesis.given(problems(longest=8))
def test_any_small_problem_gives_what_the_loops_give(problem):
    tensors = problem.tensors()
    assert_close(problem.run(upwell.ops, tensors), problem.run(loops, tensors), FLOAT64)


@hypothesis.settings(max_examples=60)
@hypothesis.given(problems(longest=8))
def test_the_formula_gives_what_the_loops_give(problem):
    tensors = problem.tensors()
    assert_close(problem.run(formula, tensors), problem.run(loops, tensors), FLOAT64)


@hypothesis.settings(max_examples=150)
@hypothesis.given(problems())
def test_the_gradient_of_value_is_the_transpose_of_the_operator(problem):
    tensors, g = problem.tensors(), problem.cotangent()
    output, gradients = problem.gradients(upwell.ops, tensors, g)
    forward, backward = (output * g).sum().item(), (tensors[0] * gradients[0]).sum().item()
    assert abs(forward - backward) <= FLOAT64 * (1 + (output * g).abs().sum().item())


@hypothesis.settings(max_examples=100)
@hypothesis.given(problems(operators=["carafe_reassembly"]))
def test_the_gradient_of_given_weights_is_the_transpose_of_the_operator(problem):
    tensors, g = problem.tensors(), problem.cotangent()
    output, gradients = problem.gradients(upwell.ops, tensors, g)
    forward, backward = (output * g).sum().item(), (tensors[1] * gradients[1]).sum().item()
    assert abs(forward - backward) <= FLOAT64 * (1 + (output * g).abs().sum().item())


@hypothesis.settings(max_examples=150)
@hypothesis.given(problems(operators=["fns", "bilinear", "nearest"]))
def test_a_constant_is_kept(problem):
    tensors = problem.tensors()
    tensors[0].fill_(1)
    assert_close(problem.run(upwell.ops, tensors), torch.ones(problem.output_shape), FLOAT64)


@hypothesis.settings(max_examples=60)
@hypothesis.given(problems(operators=["fns", "carafe"]))
def test_the_same_number_added_to_all_logits_of_a_pixel_changes_nothing(problem):
    value, logits = problem.tensors()
    n, taps, *size = logits.shape
    shift = random((n, problem.groups, 1, *size), logits.dtype, seed=7).mul(50)
    shifted = logits.reshape(n, problem.groups, problem.kernel**2, *size).add(shift).reshape(logits.shape)
    assert_close(problem.run(upwell.ops, [value, shifted]), problem.run(upwell.ops, [value, logits]), 1e-11)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
@pytest.mark.parametrize(
    "problem", [problem for problem in EVERY_OPERATOR if problem.operator in ("fns", "carafe")], ids=str
)
def test_very_large_logits_choose_one_tap_without_overflow(problem, dtype):
    tensors = problem.tensors(dtype)
    tensors[1] *= 1e5
    output, gradients = problem.gradients(upwell.ops, tensors, problem.cotangent(dtype))
    expected = problem.gradients(formula, [tensor.double() for tensor in tensors], problem.cotangent())
    assert_close(output, expected[0], FLOAT32, "output")
    assert_close(gradients[0], expected[1][0], 10 * FLOAT32, "d_value")
    assert gradients[1].isfinite().all()


@hypothesis.settings(max_examples=40)
@hypothesis.given(problems(operators=["carafe", "carafe_reassembly"]))
def test_channel_groups_are_separate_calls_side_by_side(problem):
    value, weight = problem.tensors()
    arguments = {**problem.arguments, "groups": 1}
    call = getattr(upwell.ops, problem.operator)
    parts = [
        call(v, w, **arguments)
        for v, w in zip(value.chunk(problem.groups, 1), weight.chunk(problem.groups, 1))
    ]
    assert_close(problem.run(upwell.ops, [value, weight]), torch.cat(parts, 1), FLOAT64)


@pytest.mark.parametrize("problem", EVERY_OPERATOR, ids=str)
def test_expanded_inputs_give_what_their_copies_give(problem):
    def expanded(tensor):
        return tensor[:, :1, :, :1].expand(tensor.shape)

    tensors, cotangent = [expanded(tensor) for tensor in problem.tensors()], expanded(problem.cotangent())
    output, gradients = problem.gradients(upwell.ops, tensors, cotangent)
    expected = problem.gradients(
        upwell.ops, [tensor.contiguous() for tensor in tensors], cotangent.contiguous()
    )
    assert torch.equal(output, expected[0])
    assert all(torch.equal(actual, gradient) for actual, gradient in zip(gradients, expected[1]))


@pytest.mark.parametrize("operator", OPERATORS)
@pytest.mark.parametrize(
    "low, high",
    [
        ((1, 1), (1, 1)),
        ((1, 1), (9, 7)),
        ((1, 6), (1, 1)),
        ((6, 1), (24, 1)),
        ((5, 7), (1, 1)),
        ((1, 9), (32, 288)),
        ((3, 1), (12, 4)),
    ],
)
def test_maps_one_pixel_wide_work_in_both_directions(operator, low, high):
    problem = Problem(operator, low, high, n=2)
    tensors, cotangent = problem.tensors(), problem.cotangent()
    output, gradients = problem.gradients(upwell.ops, tensors, cotangent)
    expected = problem.gradients(formula, tensors, cotangent)
    assert_close(output, expected[0], FLOAT64)
    for actual, gradient in zip(gradients, expected[1]):
        assert_close(actual, gradient, FLOAT64)


@pytest.mark.parametrize("operator", OPERATORS)
def test_a_batch_of_none_gives_none(operator):
    problem = Problem(operator, n=0)
    output, gradients = problem.gradients(upwell.ops, problem.tensors(), problem.cotangent())
    assert output.shape == problem.output_shape and output.numel() == 0
    assert all(gradient.eq(0).all() for gradient in gradients)


@pytest.mark.parametrize("operator", OPERATORS)
@pytest.mark.parametrize("ratio", range(1, 33))
def test_every_integer_ratio_from_1_to_32_works(operator, ratio):
    problem = Problem(operator, (3, 2), (3 * ratio, 2 * ratio))
    tensors, cotangent = problem.tensors(), problem.cotangent()
    output, gradients = problem.gradients(upwell.ops, tensors, cotangent)
    expected = problem.gradients(formula, tensors, cotangent)
    assert_close(output, expected[0], FLOAT64)
    for actual, gradient in zip(gradients, expected[1]):
        assert_close(actual, gradient, FLOAT64)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("kernel", [3, 5, 7])
@pytest.mark.parametrize("operator", list(WEIGHTS))
@pytest.mark.parametrize("channels", [1, 8, 13])
def test_every_kernel_and_number_of_channels_works_on_maps_wider_than_a_vector(
    operator, kernel, dtype, channels
):
    for ratio in (2, 4, 8, 16):
        problem = Problem(operator, (5, 9), (5 * ratio, 9 * ratio), channels=channels, kernel=kernel)
        tensors, cotangent = problem.tensors(dtype), problem.cotangent(dtype)
        output, gradients = problem.gradients(upwell.ops, tensors, cotangent)
        expected = problem.gradients(formula, [tensor.double() for tensor in tensors], cotangent.double())
        tolerance = FLOAT64 if dtype == torch.float64 else 10 * FLOAT32
        assert_close(output, expected[0], tolerance, f"ratio {ratio}: output")
        assert_close(gradients[0], expected[1][0], tolerance, f"ratio {ratio}: d_value")
        assert_close(gradients[1], expected[1][1], tolerance, f"ratio {ratio}: d_{WEIGHTS[operator]}")


def test_large_maps_with_few_channels_run_through_the_general_kernel():
    """Its copy of the map with channels rounded up to whole vectors takes more than 2 GiB here."""
    value = torch.rand(1, 1, 3000, 3000, dtype=torch.float32)
    expected = torch.nn.functional.interpolate(value.double(), (100, 90), mode="bilinear").float()
    torch.testing.assert_close(upwell.ops.bilinear(value, (100, 90)), expected, rtol=0, atol=1e-5)
