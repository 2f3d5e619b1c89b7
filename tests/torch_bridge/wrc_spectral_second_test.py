"""Derivatives of wrc_spectral's gradient against the same of torch operations in float64."""

import pytest
import torch
import upwell
from torch import Tensor
from torch.autograd import forward_ad
from torch.func import grad, hessian, jvp, vmap
from torch.utils._python_dispatch import TorchDispatchMode

from layout_test import Case
from reference import wrc
from resfu_draws import assert_all_close
from transforms_test import KINDS, arguments_of, changes, samples, scalar, second, stacked
from wrc_spectral_test import draw, problem

NAMES = ("precision", "weighted", "data_weight", "data", "weight")


def of(tensors: list[Tensor], scale: int, centre: str) -> Case:
    def own(*given: Tensor) -> Tensor:
        return upwell.ops.wrc_spectral(*given, scale, centre)

    def reference(*given: Tensor) -> Tensor:
        return wrc.spectral(*given, scale, centre)

    return Case(f"scale {scale} {centre}", own, reference, tensors)


# Even and odd columns, one pixel, a weight as large as the image.
CASES = [
    of(problem(n, channels, low, scale, kernel), scale, centre)
    for centre in ("image", "kernel")
    for n, channels, low, scale, kernel in [
        *((2, 1, (3, 5), 1, (3, 2)), (1, 2, (2, 4), 1, (1, 3)), (2, 2, (3, 2), 2, (3, 3)), (1, 2, (2, 3), 3, (2, 5))),
        *((1, 1, (3, 4), 4, (4, 4)), (1, 2, (1, 1), 2, (1, 2)), (1, 1, (2, 1), 3, (6, 3)), (1, 1, (1, 1), 1, (1, 1))),
    ]
]
every_case = pytest.mark.parametrize("case", CASES, ids=str)


def compare(case: Case, kind: str) -> None:
    actual, expected = (second(call, case, kind) for call in (case.own, case.reference))
    assert_all_close(actual, expected, 1e-9, f"{kind} of {case}")


@pytest.mark.parametrize("kind", KINDS)
@every_case
def test_second_derivatives_give_those_of_the_reference(case, kind):
    compare(case, kind)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(6))
def test_second_derivatives_of_problems_at_random_give_those_of_the_reference(seed, kind):
    compare(of(*draw(500 + seed, torch.float64)), kind)


@pytest.mark.parametrize("scale, centre", [(1, "image"), (2, "image"), (2, "kernel"), (3, "kernel")])
@pytest.mark.parametrize("low", [(2, 1), (1, 3)], ids=str)
def test_gradients_pass_gradgradcheck_in_float64(low, scale, centre):
    case = of([t.requires_grad_() for t in problem(1, 2, low, scale, (1, scale))], scale, centre)
    options = {"check_fwd_over_rev": True, "check_rev_over_rev": True, "check_batched_grad": True}
    assert torch.autograd.gradgradcheck(case.own, case.tensors, **options)


@pytest.mark.parametrize("case", CASES[::5], ids=str)
def test_hessians_give_those_of_the_reference(case):
    own, reference = (hessian(scalar(call), arguments_of(case))(*case.tensors) for call in (case.own, case.reference))
    assert_all_close(*([block for row in each for block in row] for each in (own, reference)), 1e-9, str(case))


@pytest.mark.parametrize("case", CASES[2:4], ids=str)
def test_third_derivatives_give_those_of_the_reference(case):
    def third(call):
        def twice(*given):
            return sum(each.square().sum() for each in second(call, Case("", call, call, list(given)), KINDS[1]))

        return grad(twice, arguments_of(case))(*case.tensors)

    assert_all_close(third(case.own), third(case.reference), 1e-8, str(case))


@pytest.mark.parametrize("case", CASES[2:4], ids=str)
def test_products_with_hessians_of_each_sample_give_what_a_loop_gives(case):
    for kind in KINDS:
        def product(*given, kind=kind):
            return second(case.own, Case("", case.own, case.own, list(given)), kind)

        loop = [product(*each) for each in zip(*samples(case))]
        assert_all_close(vmap(product, randomness="same")(*samples(case)), stacked(loop), 1e-9, f"{kind} of {case}")


@pytest.mark.parametrize("by", range(5), ids=NAMES)
@pytest.mark.parametrize("of_which", range(5), ids=NAMES)
def test_one_gradient_is_differentiated_by_one_argument(of_which, by):
    case = CASES[3]

    def mixed(call) -> list[Tensor]:
        needed = {of_which, by}
        given = [t.detach().requires_grad_(i in needed) for i, t in enumerate(case.tensors)]
        once = torch.autograd.grad(scalar(call)(*given), given[of_which], create_graph=True)[0]
        loss = (once * changes(case)[of_which]).sum()
        return list(torch.autograd.grad(loss, given[by], allow_unused=True, materialize_grads=True))

    assert_all_close(mixed(case.own), mixed(case.reference), 1e-9, str(case))


@pytest.mark.parametrize("recorded", [None, *range(5)], ids=["all", *NAMES])
def test_dual_numbers_pass_through_a_backward_pass(recorded):
    case = CASES[2]

    def tangents(call) -> list[Tensor]:
        leaves = [t.detach().requires_grad_(recorded in (None, i)) for i, t in enumerate(case.tensors)]
        wanted = [leaf for leaf in leaves if leaf.requires_grad]
        with forward_ad.dual_level():
            loss = scalar(call)(*map(forward_ad.make_dual, leaves, changes(case)))
            made = torch.autograd.grad(loss, wanted)
            return [forward_ad.unpack_dual(each).tangent for each in made]

    assert_all_close(tangents(case.own), tangents(case.reference), 1e-9, str(case))


def test_a_map_that_follows_from_the_weights_beside_it():
    precision, z, data_weight, data, weight = problem(2, 2, (3, 2), 2, (3, 3))

    def product(solve):
        def loss(z, precision):
            return scalar(lambda p: solve(p, p * z, data_weight, data, weight, 2))(precision)

        return jvp(grad(loss, (0, 1)), (z, precision), (z.cos(), precision.sin()))[1]

    assert_all_close(product(upwell.ops.wrc_spectral), product(wrc.spectral), 1e-9, "wrc_spectral")


class Names(TorchDispatchMode):
    """What runs below all transforms."""

    def __init__(self):
        super().__init__()
        self.called = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.called.append(str(func))
        return func(*args, **(kwargs or {}))


def test_a_first_gradient_is_two_calls_and_keeps_four_tensors_and_a_spectrum():
    tensors, kept = [t.requires_grad_() for t in problem(2, 3, (5, 4), 2, (3, 3))], []
    hooks = torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(tuple(t.shape)) or t, lambda t: t)
    with hooks, Names() as names:
        output = upwell.ops.wrc_spectral(*tensors, 2)
        torch.autograd.grad(output, tensors, torch.ones_like(output))
    assert sorted(kept) == sorted([(2, 3, 10, 5, 2), *(tuple(t.shape) for t in (tensors[0], *tensors[2:]))])
    called = [name for name in names.called if "ones_like" not in name and "detach" not in name]
    assert called == ["upwell.wrc_spectral_forward.default", "upwell.wrc_spectral_backward.default"]


def test_a_graph_that_was_freed_says_so():
    tensors = [t.requires_grad_() for t in problem(1, 1, (3, 2), 2, (2, 2))]
    output = upwell.ops.wrc_spectral(*tensors, 2).square().sum()
    torch.autograd.grad(output, tensors)
    with pytest.raises(RuntimeError, match="a second time"):
        torch.autograd.grad(output, tensors)


@pytest.mark.parametrize("dtype, close", [(torch.float32, 1e-3), (torch.float16, 5e-2), (torch.bfloat16, 0.2)], ids=str)
def test_second_derivatives_of_narrower_numbers(dtype, close):
    tensors, scale, centre = problem(2, 2, (3, 4), 2, (3, 3)), 2, "image"
    tensors[2] += 1  # no derivative beyond float16
    narrow = of([tensor.to(dtype) for tensor in tensors], scale, centre)
    exact = of([tensor.double() for tensor in narrow.tensors], scale, centre)
    for kind in KINDS:
        actual = second(narrow.own, narrow, kind)
        assert {tensor.dtype for tensor in actual} == {dtype}
        assert_all_close([tensor.double() for tensor in actual], second(exact.reference, exact, kind), close, kind)
