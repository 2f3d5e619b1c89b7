"""What torch's transforms make of every operator: the same as of its reference, torch's own operators in float64, or an
error, never another value. Each row and column of the table in docs/transforms.md is tried."""

import pathlib
import re
import warnings
from collections.abc import Callable

import pytest
import torch
import upwell
from torch import Tensor
from torch.autograd import forward_ad
from torch.func import grad, hessian, jacfwd, jacrev, jvp, vjp, vmap
from torch.utils._python_dispatch import TorchDispatchMode

from layout_test import CASES, TOLERANCE, Case, of_call
from problems import Problem, random
from reference import cross_attention, formula
from resfu_draws import as_tuple, assert_all_close

DOC = pathlib.Path(__file__).parents[2] / "docs" / "transforms.md"


def of_formula(operator: str, options: dict, *shapes: tuple[int, ...], where=formula) -> Case:
    tensors = [random(shape, torch.float64, i) for i, shape in enumerate(shapes)]
    calls = (lambda *given, at=at: getattr(at, operator)(*given, **options) for at in (upwell.ops, where))
    return Case(f"{operator} {options}", *calls, tensors)


def folded_group_norm(weight, bias, norm_weight, norm_bias, mean, rstd):
    mean, rstd = (each.repeat_interleave(weight.shape[1] // each.shape[1], 1)[:, None] for each in (mean, rstd))
    return weight * rstd * norm_weight, (weight * (norm_bias - mean * rstd * norm_weight)).sum(2) + bias


def positive(case: Case) -> Case:
    return Case(case.name, case.own, case.reference, [tensor.square() + 0.1 for tensor in case.tensors])


attention = dict(heads=2, window="shifted", kernel=(3, 2))
CASES = [
    *CASES,
    of_formula("adaptive_conv", {"kernel": 3}, (2, 3, 4, 5), (2, 9, 4, 5)),
    of_formula("range_weights", {"kernel": 3}, (2, 3, 4, 2), (2, 3, 4, 2), (9,)),
    positive(of_formula("range_weights", {"kernel": 5}, (1, 2, 3, 4), (1, 2, 3, 4), (25,))),
    of_formula("local_attention", {}, (2, 3, 3, 2), (2, 13, 6, 2)),
    of_formula("index_unpool", {"groups": 2}, (2, 4, 3, 2), (2, 2, 5, 6)),
    of_formula("index_unpool", {"groups": 1, "scale": 2}, (2, 4, 3, 2), (2, 4, 3, 2)),
    of_formula("sample_at_offsets", {"scale": 2, "groups": 2}, (2, 4, 3, 5), (2, 16, 3, 5)),
    of_formula("sample_at_offsets", {"scale": 2, "groups": 1, "high_res": True}, (2, 4, 3, 1), (2, 2, 6, 2)),
    of_formula("cross_attention", attention, (2, 4, 5, 6), (2, 4, 3, 4), (2, 6, 3, 4), where=cross_attention),
    of_formula(
        "cross_attention", attention | {"window": "ratio", "ratio": 0.3, "mean_heads": True},
        (1, 4, 5, 3), (1, 4, 3, 4), (1, 3, 3, 4), where=cross_attention,
    ),
    of_formula(
        "cross_attention", {"heads": 1, "window": "masked", "kernel": (3, 3)},
        (1, 2, 4, 4), (1, 2, 2, 3), (1, 2, 2, 3), where=cross_attention,
    ),
    positive(Case(
        "fold_group_norm", upwell.ops.fold_group_norm, folded_group_norm,
        [random(shape, torch.float64, i) for i, shape in enumerate([(5, 4), (5,), (4,), (4,), (3, 2), (3, 2)])],
    )),
    of_call("guided_filter", {"radius": 2, "border": "reflect"}, (1, 2, 5, 6), (1, 2, 5, 6)),
    of_call("colour_guided_filter", {"radius": 2, "scale": 2, "centred": True, "border": "symmetric"},
            (1, 3, 7, 9), (1, 2, 3, 4)),
]  # fmt: skip


def operator_of(case: Case) -> str:
    return case.name.split()[0]


OF_EACH = list({operator_of(case): case for case in CASES}.values())  # one of each operator
every_case = pytest.mark.parametrize("case", CASES, ids=str)
each_operator = pytest.mark.parametrize("case", OF_EACH, ids=operator_of)


def table() -> dict[str, list[str]]:
    """Of docs/transforms.md: what each operator's row says."""
    rows = re.findall(r"^\| `(\w+)` \| (.*) \|$", DOC.read_text(), re.MULTILINE)
    return {name: [cell.strip() for cell in cells.split("|")] for name, cells in rows}


def arguments_of(case: Case) -> tuple[int, ...]:
    return tuple(range(len(case.tensors)))


def changes(case: Case) -> tuple[Tensor, ...]:
    return tuple(random(tuple(tensor.shape), tensor.dtype, 40 + i) for i, tensor in enumerate(case.tensors))


def samples(case: Case) -> list[Tensor]:
    return [torch.stack([tensor, 1.1 * tensor, 0.9 * tensor]) for tensor in case.tensors]


def scalar(call: Callable) -> Callable[..., Tensor]:
    """No linear function of what the operator makes."""

    def total(*tensors: Tensor) -> Tensor:
        sums = []
        for i, output in enumerate(as_tuple(call(*tensors))):
            wave = torch.arange(output.numel(), dtype=output.dtype).add(i).cos().reshape(output.shape)
            sums.append((output * wave + output * output).sum())
        return torch.stack(sums).sum()

    return total


def stacked(results: list) -> list[Tensor]:
    return [torch.stack(each) for each in zip(*map(as_tuple, results))]


class Count(TorchDispatchMode):
    """How many of our operators run below all transforms."""

    def __init__(self):
        super().__init__()
        self.calls = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.calls += func.namespace == "upwell"
        return func(*args, **(kwargs or {}))


def count(call: Callable, *arguments) -> int:
    with Count() as counted:
        call(*arguments)
    return counted.calls


def test_the_table_has_every_operator():
    assert sorted(table()) == sorted(upwell.ops.__all__) == sorted({operator_of(case) for case in CASES})


@every_case
def test_vmap_gives_what_a_loop_gives_without_torchs_own_loop(case):
    batches = samples(case)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # torch warns of its loop
        whole = as_tuple(vmap(case.own)(*batches))
    assert_all_close(whole, stacked([case.own(*each) for each in zip(*batches)]), TOLERANCE, str(case))
    for i in arguments_of(case):
        given = [batch if i == j else tensor for j, (batch, tensor) in enumerate(zip(batches, case.tensors))]
        one = as_tuple(vmap(case.own, tuple(0 if i == j else None for j in arguments_of(case)))(*given))
        loop = [case.own(*given[:i], sample, *given[i + 1 :]) for sample in batches[i]]
        assert_all_close(one, stacked(loop), TOLERANCE, f"{case}, argument {i}")


@each_operator
def test_vmap_is_as_many_calls_as_the_table_says(case):
    single = count(case.own, *case.tensors)
    mapped = []
    for i, tensor in enumerate(case.tensors):
        axes = tuple(0 if i == j else None for j in arguments_of(case))
        given = [torch.stack([t] * 3) if i == j else t for j, t in enumerate(case.tensors)]
        mapped.append(count(vmap(case.own, axes), *given) // single)
    says = table()[operator_of(case)][0]
    assert set(mapped) <= {1, 3}
    assert says == ("one call" if set(mapped) == {1} else "one call; of mapped weights one each"), mapped


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_the_mapped_dimension_may_be_any_and_maps_may_be_nested(axis):
    problem = Problem("fns", (3, 4), (6, 8), n=2)
    value, logits = (torch.stack([torch.stack([t, 2 * t]), torch.stack([t.sin(), t.cos()])]) for t in problem.tensors())

    def call(value, logits):
        return problem.run(upwell.ops, [value, logits])

    expected = torch.stack([torch.stack([call(v, l) for v, l in zip(*each)]) for each in zip(value, logits)])
    moved = [t.movedim(1, axis) for t in (value, logits)]
    inner = axis - 1 if axis > 0 else axis
    actual = vmap(vmap(call, (inner if axis else 0, inner if axis else 0)), (0, 0))(*(moved if axis else (value, logits)))
    torch.testing.assert_close(actual, expected, rtol=TOLERANCE, atol=TOLERANCE)
    nested = vmap(vmap(call, (None, 0)), (0, None))(value[0], logits[0])
    one_by_one = torch.stack([torch.stack([call(v, l) for l in logits[0]]) for v in value[0]])
    torch.testing.assert_close(nested, one_by_one, rtol=TOLERANCE, atol=TOLERANCE)


def test_an_error_under_vmap_says_the_sizes_of_one_sample():
    value, logits = torch.randn(3, 2, 4, 5, 6), torch.randn(3, 2, 8, 10, 12)
    with pytest.raises(RuntimeError, match=re.escape("fns: logits should be [2, 9, 10, 12] but is [2, 8, 10, 12]")):
        vmap(lambda v, l: upwell.ops.fns(v, l, 3))(value, logits)
    with pytest.raises(RuntimeError, match=re.escape("fns: logits should be [2, 9,")):
        vmap(lambda v, l: upwell.ops.fns(v, l, 3))(value, torch.randn(3, 1, 9, 10, 12))


@every_case
def test_grad_and_vjp_give_those_of_the_reference(case):
    own, reference = (grad(scalar(call), arguments_of(case))(*case.tensors) for call in (case.own, case.reference))
    assert_all_close(own, reference, TOLERANCE, str(case))
    rows = [random(tuple(o.shape), o.dtype, 90 + i) for i, o in enumerate(as_tuple(case.own(*case.tensors)))]
    cotangent = rows[0] if len(rows) == 1 else tuple(rows)
    own, reference = (vjp(call, *case.tensors)[1](cotangent) for call in (case.own, case.reference))
    assert_all_close(own, reference, TOLERANCE, str(case))


@every_case
def test_gradients_of_each_sample_give_those_of_the_reference(case):
    batches = samples(case)
    own = vmap(grad(scalar(case.own), arguments_of(case)))(*batches)
    reference = [grad(scalar(case.reference), arguments_of(case))(*each) for each in zip(*batches)]
    assert_all_close(own, stacked(reference), TOLERANCE, str(case))


@every_case
def test_tangents_of_jvp_and_of_forward_mode_give_those_of_the_reference(case):
    own, reference = (jvp(call, tuple(case.tensors), changes(case)) for call in (case.own, case.reference))
    for actual, expected in zip(own, reference):
        assert_all_close(as_tuple(actual), as_tuple(expected), TOLERANCE, str(case))
    with forward_ad.dual_level():
        made = as_tuple(case.own(*map(forward_ad.make_dual, case.tensors, changes(case))))
        tangents = [forward_ad.unpack_dual(each).tangent for each in made]
    assert_all_close(tangents, as_tuple(reference[1]), TOLERANCE, str(case))


@each_operator
def test_jacobians_give_those_of_the_reference(case):
    for transform in (jacrev, jacfwd):
        own, reference = (
            transform(call, arguments_of(case))(*case.tensors) for call in (case.own, case.reference)
        )
        flat = [torch.utils._pytree.tree_leaves(each) for each in (own, reference)]
        assert_all_close(*flat, TOLERANCE, f"{transform.__name__} of {case}")


def second(call: Callable, case: Case, kind: str) -> tuple[Tensor, ...]:
    """Second derivatives along a direction, and of all there is."""
    first = grad(scalar(call), arguments_of(case))
    tensors, along = tuple(case.tensors), changes(case)
    if kind == "reverse over reverse":
        return grad(lambda *given: sum((g * a).sum() for g, a in zip(first(*given), along)), arguments_of(case))(*tensors)
    if kind == "forward over reverse":
        return jvp(first, tensors, along)[1]
    if kind == "reverse over forward":
        return grad(lambda *given: jvp(scalar(call), given, along)[1], arguments_of(case))(*tensors)
    return as_tuple(jvp(lambda *given: jvp(call, given, along)[1], tensors, along)[1])


KINDS = ("reverse over reverse", "forward over reverse", "reverse over forward", "forward over forward")


@pytest.mark.parametrize("kind", KINDS)
@every_case
def test_second_derivatives_give_those_of_the_reference(case, kind, monkeypatch):
    assert table()[operator_of(case)][3] == "yes"
    with monkeypatch.context() as patch:  # findings/torch_linalg_solve_tangent.sh
        patch.setattr(torch.linalg, "solve", lambda matrix, right: torch.linalg.inv(matrix) @ right)
        reference = second(case.reference, case, kind)
    largest = max(1.0, *(each.abs().max().item() for each in reference))
    for actual, expected in zip(second(case.own, case, kind), reference, strict=True):
        torch.testing.assert_close(actual, expected, rtol=0, atol=10 * TOLERANCE * largest)


@pytest.mark.parametrize("problem", [Problem("fns", (2, 3), (4, 5)), Problem("carafe", (2, 3), (4, 6), border="mask")], ids=str)
def test_hessians_and_third_derivatives_of_a_softmax_give_those_of_the_formula(problem):
    tensors = problem.tensors()

    def calls(where):
        return scalar(lambda *given: problem.run(where, given))

    own, reference = (hessian(calls(where), (0, 1))(*tensors) for where in (upwell.ops, formula))
    assert_all_close(*([t for row in each for t in row] for each in (own, reference)), TOLERANCE, str(problem))

    def third(where):
        call = calls(where)
        once = grad(call, (0, 1))
        again = grad(lambda *given: sum((g * g.detach().cos()).sum() for g in once(*given)), (0, 1))
        return grad(lambda *given: sum(g.square().sum() for g in again(*given)), (0, 1))(*tensors)

    assert_all_close(third(upwell.ops), third(formula), 10 * TOLERANCE, str(problem))


def test_a_softmax_of_logits_that_follow_from_the_value_is_differentiated_twice():
    """What one argument does to another is no part of its own gradient."""
    value = random((1, 9, 4, 5), torch.float64, 0)

    def loss(where):
        return lambda value: scalar(lambda v: where.fns(v, formula.bilinear(v, (8, 10)) * v.mean(), 3))(value)

    own, reference = (grad(lambda v, at=at: grad(loss(at))(v).square().sum())(value) for at in (upwell.ops, formula))
    assert_all_close([own], [reference], TOLERANCE, "fns")


@every_case
def test_batched_gradients_give_what_a_loop_gives(case):
    leaves = [tensor.detach().requires_grad_() for tensor in case.tensors]
    outputs = as_tuple(case.own(*leaves))
    rows = [random((3, *output.shape), output.dtype, 80 + i) for i, output in enumerate(outputs)]
    actual = torch.autograd.grad(outputs, leaves, rows, retain_graph=True, is_grads_batched=True)
    loop = [torch.autograd.grad(outputs, leaves, each, retain_graph=True) for each in zip(*rows)]
    assert_all_close(actual, stacked(loop), TOLERANCE, str(case))


def test_a_vectorised_jacobian_is_the_jacobian():
    problem = Problem("bilinear", (2, 3), (4, 5), channels=1)
    (value,) = problem.tensors()

    def call(value):
        return problem.run(upwell.ops, [value])

    expected = torch.autograd.functional.jacobian(call, value)
    assert torch.equal(torch.autograd.functional.jacobian(call, value, vectorize=True), expected)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_transforms_take_16_bits(dtype):
    for case in OF_EACH:
        given = [tensor.to(dtype) for tensor in case.tensors]
        narrow, along = [tensor.double() for tensor in given], changes(case)
        expected = [scalar(case.reference)(*narrow), *grad(scalar(case.reference), arguments_of(case))(*narrow)]
        close = dict(rtol=0.1, atol=0.25 * max(each.abs().max().item() for each in expected[1:]))
        for actual, wide in zip(grad(scalar(case.own), arguments_of(case))(*given), expected[1:]):
            assert actual.dtype == dtype
            torch.testing.assert_close(actual.double(), wide, msg=lambda m: f"{case}: {m}", **close)
        tangents = as_tuple(jvp(case.own, tuple(given), tuple(each.to(dtype) for each in along))[1])
        for tangent, output in zip(tangents, as_tuple(case.own(*given)), strict=True):
            assert tangent.dtype == output.dtype and tangent.isfinite().all(), str(case)
