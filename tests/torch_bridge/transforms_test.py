"""What torch.func and batched gradients make of the operators: what a loop gives, or an error, never another value."""

import pytest
import torch
import upwell
from torch.func import functional_call, grad, jacfwd, jacrev, jvp, vjp, vmap

from layout_test import CASES, TOLERANCE, Case
from problems import Problem, random
from resfu_draws import as_tuple, assert_all_close

REFUSED = r"cannot use C\+\+ torch::autograd::Function with functorch transforms|not implemented"
every_case = pytest.mark.parametrize("case", CASES, ids=str)


def scalar(case: Case):
    return lambda *tensors: sum(output.sum() for output in as_tuple(case.own(*tensors)))


@every_case
def test_vmap_gives_what_a_loop_gives(case):
    others = [random(tuple(tensor.shape), tensor.dtype, 70 + i).square() + 0.5 for i, tensor in enumerate(case.tensors)]
    batches = [torch.stack(pair) for pair in zip(case.tensors, others)]
    actual = as_tuple(vmap(case.own)(*batches))
    loop = [as_tuple(case.own(*each)) for each in zip(*batches)]
    assert_all_close(actual, [torch.stack(each) for each in zip(*loop)], TOLERANCE, str(case))


@pytest.mark.parametrize("transform", [grad, jacrev, jacfwd], ids=lambda transform: transform.__name__)
@every_case
def test_derivatives_of_torch_func_are_refused(case, transform):
    with pytest.raises(RuntimeError, match=REFUSED):
        transform(scalar(case))(*case.tensors)


@every_case
def test_forward_mode_and_per_sample_gradients_are_refused(case):
    call, tensors = scalar(case), case.tensors
    with pytest.raises(RuntimeError, match=REFUSED):
        jvp(call, tuple(tensors), tuple(tensors))
    with pytest.raises(RuntimeError, match=REFUSED):
        vjp(call, *tensors)
    with pytest.raises(RuntimeError, match=REFUSED):
        vmap(grad(call))(*(torch.stack([tensor, tensor]) for tensor in tensors))
    with torch.autograd.forward_ad.dual_level(), pytest.raises(RuntimeError, match=REFUSED):
        scalar(case)(*(torch.autograd.forward_ad.make_dual(tensor, tensor) for tensor in tensors))


@every_case
def test_batched_gradients_give_what_a_loop_gives(case):
    leaves = [tensor.detach().requires_grad_() for tensor in case.tensors]
    outputs = as_tuple(case.own(*leaves))
    rows = [random((3, *output.shape), output.dtype, 80 + i) for i, output in enumerate(outputs)]
    actual = torch.autograd.grad(outputs, leaves, rows, retain_graph=True, is_grads_batched=True)
    loop = [torch.autograd.grad(outputs, leaves, each, retain_graph=True) for each in zip(*rows)]
    assert_all_close(actual, [torch.stack(each) for each in zip(*loop)], TOLERANCE, str(case))


def test_a_vectorised_jacobian_is_the_jacobian():
    problem = Problem("bilinear", (2, 3), (4, 5), channels=1)
    (value,) = problem.tensors()

    def call(value):
        return problem.run(upwell.ops, [value])

    expected = torch.autograd.functional.jacobian(call, value)
    assert torch.equal(torch.autograd.functional.jacobian(call, value, vectorize=True), expected)


def test_per_sample_gradients_of_a_module_are_refused():
    module = upwell.nn.CARAFE(4, 2)

    def loss(parameters, x):
        return functional_call(module, parameters, (x[None],)).square().mean()

    with pytest.raises(RuntimeError, match=REFUSED):
        vmap(grad(loss), (None, 0))(dict(module.named_parameters()), torch.randn(3, 4, 5, 6))
