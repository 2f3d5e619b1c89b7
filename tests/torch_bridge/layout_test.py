"""Every operator, in both directions, takes inputs and gradients in any memory layout: all give what dense ones give."""

import dataclasses
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
import upwell
from torch import Tensor

import lctc_test
import wrc_exact_test
import wrc_spectral_test
from problems import EVERY_OPERATOR, OPERATORS, Problem, channels_last, random, transposed
from reference import composition, formula, wrc
from resfu_draws import Call, as_tuple, assert_all_close


def reversed_dimensions(tensor: Tensor) -> Tensor:
    """The first dimension innermost in memory."""
    order = list(reversed(range(tensor.dim())))
    return tensor.permute(order).contiguous().permute(order)


def negated(tensor: Tensor) -> Tensor:
    """Its negative in memory: torch negates where it is read."""
    return torch._neg_view(tensor.neg())


# Of tensors of any rank. The expanded ones have values of their own.
LAYOUTS = {
    "contiguous": Tensor.contiguous,
    "channels_last": lambda tensor: channels_last(tensor) if tensor.dim() == 4 else tensor,
    "transposed": lambda tensor: transposed(tensor) if tensor.dim() > 1 else tensor,
    "reversed": reversed_dimensions,
    "expanded": lambda tensor: tensor[:1].expand(tensor.shape),
    "of one number": lambda tensor: tensor[(slice(1),) * tensor.dim()].expand(tensor.shape),
    "strided": lambda tensor: torch.stack([tensor.neg(), tensor], -1)[..., 1],
    "flipped": lambda tensor: reversed_dimensions(tensor.flip(0)).flip(0),  # a copy, as all negative strides in torch
    "negated": negated,
}


@dataclasses.dataclass(frozen=True)
class Case:
    """An operator, what it should equal, and tensors for both."""

    name: str
    own: Callable[..., Tensor]
    reference: Callable[..., Tensor]
    tensors: list[Tensor]
    twice: bool = False  # gradients of its gradients exist with respect to everything

    def __str__(self) -> str:
        return f"{self.name} {[list(tensor.shape) for tensor in self.tensors]}"


def of_problem(problem: Problem) -> Case:
    def on(where):
        return lambda *tensors: problem.run(where, tensors)

    return Case(str(problem), on(upwell.ops), on(formula), problem.tensors(), twice=True)


def of_attention(low: tuple[int, int], high: tuple[int, int], border: str) -> Case:
    shapes = (2, 3, *low), (2, 4, *high), (2, 4, *low)
    tensors = [random(shape, torch.float64, i) for i, shape in enumerate(shapes)]
    calls = (lambda *given, op=where.sapa_attention: op(*given, 3, border) for where in (upwell.ops, formula))
    return Case(f"sapa_attention {border}", *calls, tensors)


def of_call(operator: str, options: dict, *shapes: tuple[int, ...]) -> Case:
    call = Call(operator, shapes, options, (1.0,) * len(shapes))

    def on(where):
        return lambda *tensors: getattr(where, operator)(*tensors, **options)

    return Case(f"{operator} {options}", on(upwell.ops), on(composition), call.tensors(torch.float64))


def of_transposed_conv(problem: lctc_test.Problem) -> Case:
    return Case(
        f"transposed_conv {problem}",
        lambda *tensors: problem.run(tensors),
        lambda *tensors: problem.expected(tensors),
        problem.tensors(),
        twice=True,
    )


def of_merge_kernels(large: tuple[int, ...], small: tuple[int, ...]) -> Case:
    down, right = ((a - b) // 2 for a, b in zip(large[2:], small[2:]))

    def reference(large, small):
        return large + F.pad(small, (right, right, down, down))

    tensors = [random(large, torch.float64, 0), random(small, torch.float64, 1)]
    return Case("merge_kernels", upwell.ops.merge_kernels, reference, tensors)


def of_wrc_layer(n: int, c: int, h: int, w: int, scale: int) -> list[Case]:
    x, mixed, response = (random((n, k * c, h, w), torch.float64, k) for k in (1, 9, 1))
    lam = random((c,), torch.float64, 3).square()
    prior = [lambda *given, op=op: op(*given, scale) for op in (upwell.ops.wrc_prior, wrc.prior)]
    return [
        Case("wrc_data", upwell.ops.wrc_data, wrc.data, [x, response]),
        Case(f"wrc_prior {scale}", *prior, [x, mixed, lam]),
    ]


def of_wrc_solvers(n: int, c: int, low: tuple[int, int], kernel: tuple[int, int], scale: int) -> list[Case]:
    return [
        Case(
            f"wrc_exact {scale}",
            lambda *given: upwell.ops.wrc_exact(*given, scale, 1e-13, 1000),
            lambda *given: wrc.exact(*given, scale),
            wrc_exact_test.problem(n, c, *low, kernel, scale),
        ),
        Case(
            f"wrc_spectral {scale}",
            lambda *given: upwell.ops.wrc_spectral(*given, scale),
            lambda *given: wrc.spectral(*given, scale, "image"),
            wrc_spectral_test.problem(n, c, low, scale, kernel),
        ),
    ]


def scores(options: dict, low: tuple[int, int], high: tuple[int, int], groups: int) -> Case:
    n, channels, outputs, hidden, kernel = 2, 4, 8, 8, 3
    weight = (outputs, channels // groups, kernel, kernel)
    block = ((channels,), weight, (outputs,), (hidden, outputs // groups), (hidden,), (hidden,), (hidden,))
    block += ((kernel**2, hidden), (kernel**2,))
    options = {"groups": groups, "norm_groups": 2} | options
    return of_call("pcdc_scores", options, (n, channels, *low), (n, channels, *high), *block)


# Also maps of one pixel, of one channel and of one sample, whose strides say nothing; outputs of a transposed
# convolution that are and are not whole numbers of its stride.
CASES = [
    *map(of_problem, EVERY_OPERATOR),
    *(of_problem(Problem(operator, (1, 1), (1, 1), n=2)) for operator in OPERATORS),
    *(of_problem(Problem(operator, (2, 1), (4, 2), channels=1)) for operator in OPERATORS),
    *map(of_transposed_conv, lctc_test.PROBLEMS),
    of_transposed_conv(lctc_test.Problem(groups=1, a=1, b=1)),
    of_transposed_conv(lctc_test.Problem((6, 9), stride=(3, 4), kernel=(5, 4), padding=(2, 1), output_padding=(2, 3))),
    of_merge_kernels((4, 3, 7, 5), (4, 3, 3, 5)),
    of_merge_kernels((4, 1, 3, 3), (4, 1, 1, 1)),
    of_attention((3, 4), (6, 8), "zero"),
    of_attention((3, 4), (7, 9), "mask"),
    of_call("group_stats", {"eps": 0.1, "groups": 2}, (2, 4, 3, 5)),
    of_call("group_stats", {"eps": 0.1, "groups": 4, "blur": True}, (2, 4, 3, 5)),
    of_call("group_stats", {"eps": 0.1, "groups": 2, "size": (7, 6)}, (2, 4, 3, 5)),
    of_call("group_stats", {"eps": 0.1, "groups": 1, "size": (2, 2)}, (2, 2, 1, 1)),
    of_call("guided_filter", {"radius": 2}, (2, 3, 7, 9), (2, 3, 3, 4)),
    of_call("guided_filter", {"radius": 2, "scale": 2, "centred": True}, (2, 1, 7, 9), (2, 1, 1, 1)),
    of_call("colour_guided_filter", {"radius": 2}, (2, 3, 7, 9), (2, 4, 3, 4)),
    of_call("pcdc", {"groups": 2, "dilation": (2, 1)}, (2, 4, 5, 6), (2, 4, 5, 6), (6, 2, 3, 3), (6,)),
    of_call("pcdc", {}, (2, 3, 1, 1), (2, 3, 1, 1), (4, 3, 3, 3)),
    scores({}, (3, 2), (6, 5), groups=2),
    scores({}, (1, 1), (2, 3), groups=1),
    scores({"ratio": (2, 1, 2, 1), "blur": True}, (4, 5), (4, 5), groups=2),
    scores({"ratio": (3, 2, 2, 1), "relu": False}, (4, 5), (4, 5), groups=1),
    *of_wrc_layer(2, 3, 4, 5, 2),
    *of_wrc_layer(2, 1, 2, 1, 3),
    *of_wrc_solvers(2, 3, (3, 4), (3, 3), 2),
    *of_wrc_solvers(1, 2, (2, 1), (2, 2), 3),
]
TOLERANCE = 1e-9


def check(case: Case, inputs: list[str], gradient: str) -> None:
    """With these layouts of the tensors and of the incoming gradients: outputs and gradients are the reference's."""
    tensors = [LAYOUTS[layout](tensor) for layout, tensor in zip(inputs, case.tensors, strict=True)]

    def results(call: Callable, prepare: Callable[[Tensor], Tensor]) -> list[Tensor]:
        leaves = [prepare(tensor).detach().requires_grad_() for tensor in tensors]
        outputs = as_tuple(call(*leaves))
        cotangents = [
            prepare(LAYOUTS[gradient](random(tuple(output.shape), torch.float64, 50 + i)))
            for i, output in enumerate(outputs)
        ]
        return [*outputs, *torch.autograd.grad(outputs, leaves, cotangents)]

    actual = results(case.own, lambda tensor: tensor)
    expected = results(case.reference, lambda tensor: tensor.resolve_neg().contiguous())
    assert_all_close(actual, expected, TOLERANCE, f"inputs {inputs}, gradient {gradient}")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_inputs_in_any_layout_meet_gradients_in_any_layout(case):
    for layout in LAYOUTS:
        for gradient in LAYOUTS:
            check(case, [layout] * len(case.tensors), gradient)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_each_input_has_a_layout_of_its_own(case):
    names = list(LAYOUTS)
    for i in range(len(names)):
        layouts = [names[(i + 2 * k) % len(names)] for k in range(len(case.tensors))]
        check(case, layouts, names[(i + 1) % len(names)])


@pytest.mark.parametrize("case", [case for case in CASES if case.twice], ids=str)
def test_gradients_of_gradients_take_any_layout(case):
    def results(call: Callable, layout: str, prepare: Callable[[Tensor], Tensor]) -> list[Tensor]:
        leaves = [prepare(LAYOUTS[layout](tensor)).detach().requires_grad_() for tensor in case.tensors]
        output = call(*leaves)
        cotangent = prepare(LAYOUTS[layout](random(tuple(output.shape), torch.float64, 50)))
        cotangent = cotangent.detach().requires_grad_()
        first = torch.autograd.grad(output, leaves, cotangent, create_graph=True)
        seconds = [prepare(LAYOUTS[layout](random(tuple(f.shape), torch.float64, 60))) for f in first]
        every = [*leaves, cotangent]
        return [*first, *torch.autograd.grad(first, every, seconds, allow_unused=True, materialize_grads=True)]

    for layout in LAYOUTS:
        actual = results(case.own, layout, lambda tensor: tensor)
        expected = results(case.reference, layout, lambda tensor: tensor.resolve_neg().contiguous())
        assert_all_close(actual, expected, TOLERANCE, layout)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("operator", OPERATORS)
def test_narrower_numbers_in_any_layout_give_the_same_bits(operator, dtype):
    problem = next(problem for problem in EVERY_OPERATOR if problem.operator == operator)
    dense = problem.gradients(upwell.ops, problem.tensors(dtype), problem.cotangent(dtype))
    for name in ("channels_last", "transposed", "reversed", "strided", "flipped", "negated"):
        tensors = [LAYOUTS[name](tensor) for tensor in problem.tensors(dtype)]
        output, gradients = problem.gradients(upwell.ops, tensors, LAYOUTS[name](problem.cotangent(dtype)))
        assert torch.equal(output, dense[0]) and output.is_contiguous()
        assert all(torch.equal(a, b) for a, b in zip(gradients, dense[1], strict=True))
