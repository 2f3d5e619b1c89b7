"""Modules under torch.func, and what torch demands of a whole program."""

import functools

import pytest
import torch
import upwell
from torch.func import functional_call, grad, hessian, jvp, stack_module_state, vmap
from torch.utils.flop_counter import FlopCounterMode

from compare import assert_close
from module_parallel_test import SETTINGS, TRAINED, make, maps
from problems import random
from reference import wrc
from resfu_draws import assert_all_close


def loss_of(module: torch.nn.Module):
    def loss(parameters, y, x):
        return functional_call(module, parameters, (y[None], x[None])).square().mean()

    return loss


def parameters_of(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: parameter.detach() for name, parameter in module.named_parameters()}


@pytest.mark.parametrize("setting", TRAINED)
def test_gradients_of_each_sample_are_those_of_a_batch_of_one(setting):
    module, (y, x) = make(setting).eval(), maps(setting)
    actual = vmap(grad(loss_of(module)), (None, 0, 0))(parameters_of(module), y, x)
    for sample in range(len(x)):
        module.zero_grad()
        module(y[sample : sample + 1], x[sample : sample + 1]).square().mean().backward()
        for name, parameter in module.named_parameters():
            expected = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            scale = max(1e-3, expected.abs().max().item())
            assert_close(actual[name][sample], expected, 1e-9, f"{setting}: {name}", scale=scale)


@pytest.mark.parametrize("setting", TRAINED)
def test_an_ensemble_is_its_members(setting):
    members = []
    for seed in range(3):
        members.append(make(setting).eval())
        with torch.no_grad():
            for i, parameter in enumerate(members[-1].parameters()):
                parameter.add_(0.1 * random(parameter.shape, parameter.dtype, 10 * seed + i))
    state = stack_module_state(members)
    y, x = maps(setting)
    actual = vmap(lambda *state: functional_call(members[0], state, (y, x)))(*state)
    for output, member in zip(actual, members):
        assert_close(output, member(y, x), 1e-9, setting, scale=max(1.0, output.abs().max().item()))


@pytest.mark.parametrize("setting", SETTINGS)
def test_the_tangent_of_a_module_is_the_limit_of_its_differences(setting):
    module, given = make(setting).eval(), tuple(maps(setting))
    along = tuple(random(tuple(t.shape), t.dtype, 5 + i) for i, t in enumerate(given))
    _, tangent = jvp(module, given, along)
    step = 1e-6
    with torch.no_grad():
        ahead, behind = (module(*(t + side * step * a for t, a in zip(given, along))) for side in (1, -1))
    expected = (ahead - behind) / (2 * step)
    error = (tangent - expected).abs().flatten() / max(1.0, expected.abs().max().item())
    assert error.quantile(0.9) <= 1e-5 and error.max() <= 0.1, setting  # a relu may change its branch between the two


@pytest.mark.parametrize("setting", SETTINGS)
def test_modules_train_where_deterministic_algorithms_are_demanded_with_the_same_bits(setting):
    def results() -> list[torch.Tensor]:
        module, given = make(setting, torch.float32), [t.requires_grad_() for t in maps(setting, torch.float32)]
        output = module(*given)
        output.square().mean().backward()
        return [output, *(t.grad for t in [*given, *module.parameters()] if t.grad is not None)]

    plain = results()
    torch.use_deterministic_algorithms(True)
    try:
        strict = results()
    finally:
        torch.use_deterministic_algorithms(False)
    assert all(torch.equal(a, b) for a, b in zip(plain, strict, strict=True))


def test_torchs_counter_counts_below_a_transform():
    value, logits = torch.zeros(3, 2, 3, 4, 5), torch.zeros(3, 2, 9, 8, 10)
    one = 2 * 4**2 * (2 * 3 * 8 * 10)
    with FlopCounterMode(display=False, custom_mapping=upwell.flop_formulas()) as counter:
        vmap(lambda v, l: upwell.ops.fns(v, l, 3))(value, logits)
    assert counter.get_total_flops() == 3 * one
    with FlopCounterMode(display=False, custom_mapping=upwell.flop_formulas()) as counter:
        grad(lambda v, l: upwell.ops.fns(v, l, 3).sum(), (0, 1))(value[0], logits[0])
    assert counter.get_total_flops() == 3 * one


class ComposedWRC(upwell.nn.WRC):
    """Of torch operations, with the same parameters."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return wrc.layer(x, self, functools.partial(wrc.spectral, centre=self.centre))


LAYERS = {
    "published": {"kernel_size": 3, "scale": 2},
    "kernel, reflect": {"kernel_size": 2, "scale": 3, "padding": 1, "padding_mode": "reflect", "centre": "kernel"},
    "no padding, scale 1": {"kernel_size": 3, "padding": 0},
    "replicate, scale 4": {"kernel_size": 5, "scale": 4, "padding": 1, "padding_mode": "replicate"},
    "zeros, kernel": {"kernel_size": 4, "scale": 2, "padding": 2, "padding_mode": "constant", "centre": "kernel"},
}


def wrc_losses(name: str):
    """Of the layer and of what it is composed of: a loss by x and the parameters, and where to try it."""
    torch.manual_seed(3)
    module = upwell.nn.WRC(2, 2, **LAYERS[name]).double()
    composed = ComposedWRC(2, 2, **LAYERS[name]).double()

    def losses(layer):
        def loss(x, parameters):
            output = functional_call(layer, parameters, (x,))
            wave = torch.arange(output[0].numel(), dtype=output.dtype).cos().reshape(output[0].shape)
            return (output * wave + output.square()).sum()

        return loss

    parameters = parameters_of(module)
    along = {key: random(tuple(each.shape), each.dtype, 7 + i) for i, (key, each) in enumerate(parameters.items())}
    return losses(module), losses(composed), random((2, 2, 3, 5), torch.float64, 1), parameters, along


def flat(tree) -> list[torch.Tensor]:
    return torch.utils._pytree.tree_leaves(tree)


@pytest.mark.parametrize("name", LAYERS)
def test_products_with_hessians_of_wrc_are_those_of_what_it_is_composed_of(name):
    own, composed, x, parameters, along = wrc_losses(name)

    def forward_over_reverse(loss):
        return jvp(grad(loss, (0, 1)), (x, parameters), (x.cos(), along))[1]

    def reverse_over_reverse(loss):
        def slope(x, parameters):
            by_x, by_parameters = grad(loss, (0, 1))(x, parameters)
            return (by_x * by_x.detach().cos()).sum() + sum((by_parameters[key] * along[key]).sum() for key in along)

        return grad(slope, (0, 1))(x, parameters)

    def penalised(loss):  # as a gradient penalty trains
        leaves = [x.clone().requires_grad_(), *(each.clone().requires_grad_() for each in parameters.values())]
        once = torch.autograd.grad(loss(leaves[0], dict(zip(parameters, leaves[1:]))), leaves[0], create_graph=True)[0]
        return torch.autograd.grad(once.square().sum(), leaves)

    for product in (forward_over_reverse, reverse_over_reverse, penalised):
        assert_all_close(flat(product(own)), flat(product(composed)), 1e-9, f"{product.__name__} of {name}")


def test_products_with_hessians_of_wrc_for_each_sample_and_the_whole_hessian():
    own, composed, x, parameters, along = wrc_losses("published")

    def product(loss):
        def of_sample(x):
            return jvp(lambda given: grad(loss, 1)(x[None], given), (parameters,), (along,))[1]

        return vmap(of_sample)(x)

    assert_all_close(flat(product(own)), flat(product(composed)), 1e-9, "each sample")
    whole = [hessian(loss, 1)(x[:1], parameters) for loss in (own, composed)]
    assert_all_close(*map(flat, whole), 1e-9, "hessian")
