"""The WRC layer: golden data, both solvers against the layer in torch operations, and the settings that have to work."""

import functools

import pytest
import torch
import torch.nn.functional as F
from upwell.nn import WRC
from upwell.nn.pad import MODES, pad

import golden
import wrc_objective
from compare import assert_close
from problems import random
from reference import wrc

TIGHT = {"tolerance": 1e-13, "max_iterations": 300}
SPECTRAL = {centre: functools.partial(wrc.spectral, centre=centre) for centre in ("image", "kernel")}
both_dtypes = pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
both_solvers = pytest.mark.parametrize("solver", ["spectral", "exact"])
every_case = pytest.mark.parametrize("name", golden.names("wrc"))


def layer(channels=3, kernel_size=3, scale=2, dtype=torch.float64, **options) -> WRC:
    """Parameters far enough from their initial values that every path matters."""
    if options.get("solver") == "exact":
        options = TIGHT | options
    module = WRC(channels, channels, kernel_size, scale, **options).to(dtype)
    with torch.no_grad():
        for i, parameter in enumerate(module.parameters()):
            parameter.add_(random(parameter.shape, dtype, i), alpha=0.2)
    return module


def reference(module: WRC, x: torch.Tensor) -> torch.Tensor:
    return wrc.layer(x, module, wrc.exact if module.solver == "exact" else SPECTRAL[module.centre])


def gradients(call, module: WRC, x: torch.Tensor) -> list[torch.Tensor]:
    """The output, and the gradients of x and every parameter."""
    x = x.detach().requires_grad_()
    output = call(x)
    cotangent = random(output.shape, output.dtype, 9)
    return [output, *torch.autograd.grad(output, [x, *module.parameters()], cotangent)]


@every_case
@both_dtypes
def test_the_layer_agrees_with_the_golden_data(name, dtype):
    case = golden.load(name, dtype)
    module = WRC(out_channels=case.hyper["in_channels"], **case.hyper)
    module.load_state_dict(case.state_dict, strict=True)
    module = module.to(dtype)
    leaves = case.leaves()
    output = module(*leaves)
    output.backward(case.cotangent)
    case.check_output(output)
    case.check_gradients("in", {"x": leaves[0].grad})
    case.check_gradients("param", {name: parameter.grad for name, parameter in module.named_parameters()})


@pytest.mark.parametrize(
    "options, low",
    [
        ({}, (5, 7)),
        ({"centre": "kernel"}, (5, 7)),
        ({"kernel_size": 2, "scale": 1, "padding": 0}, (6, 5)),
        ({"kernel_size": 5, "scale": 3, "padding_mode": "reflect"}, (4, 3)),
        ({"scale": 4, "padding_mode": "replicate", "centre": "kernel"}, (1, 6)),
        ({"scale": 3, "padding": 1, "padding_mode": "constant"}, (1, 1)),
        ({"kernel_size": 1}, (2, 3)),
        ({"solver": "exact"}, (5, 4)),
        ({"solver": "exact", "kernel_size": 5, "scale": 2, "padding_mode": "reflect"}, (3, 4)),
        ({"solver": "exact", "kernel_size": 4, "scale": 1, "padding": 1}, (5, 3)),
        ({"solver": "exact", "kernel_size": 3, "scale": 4, "padding_mode": "replicate"}, (1, 2)),
        ({"solver": "exact", "kernel_size": 2, "scale": 3, "padding_mode": "constant"}, (3, 2)),
    ],
    ids=str,
)
def test_the_layer_is_the_one_in_torch_operations(options, low):
    module = layer(**options)
    x = random((2, 3, *low), torch.float64, 20)
    expected = gradients(lambda x: reference(module, x), module, x)
    for actual, wanted in zip(gradients(module, module, x), expected):
        assert_close(actual, wanted, 1e-9)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("count", [0, 1, 3])
def test_borders_are_those_of_torch(mode, count):
    x = random((2, 3, 4, 5), torch.float64, 1).requires_grad_()
    expected = F.pad(x, [count] * 4, mode=mode)
    assert torch.equal(pad(x, count, mode), expected)
    cotangent = random(expected.shape, torch.float64, 2)
    (wanted,) = torch.autograd.grad(expected, x, cotangent)
    (actual,) = torch.autograd.grad(pad(x, count, mode), x, cotangent)
    assert_close(actual, wanted, 1e-15)


def test_a_circular_border_may_wrap_more_than_once():
    x = random((1, 1, 2, 3), torch.float64, 1)
    rows, columns = torch.arange(-5, 7) % 2, torch.arange(-5, 8) % 3
    assert torch.equal(pad(x, 5, "circular"), x[:, :, rows][..., columns])


@both_solvers
def test_gradcheck(solver):
    module = layer(2, scale=2, padding=1, solver=solver)
    x = random((1, 2, 3, 4), torch.float64, 3).requires_grad_()
    names, leaves = zip(*module.named_parameters())

    def call(x, *given):
        return torch.func.functional_call(module, dict(zip(names, given)), (x,))

    assert torch.autograd.gradcheck(call, (x, *leaves), fast_mode=True)


@both_solvers
def test_the_layer_compiles_whole(solver):
    module = layer(dtype=torch.float32, solver=solver, padding_mode="reflect", tolerance=1e-5)
    x = random((2, 3, 6, 5), torch.float32, 4)
    torch._dynamo.reset()
    compiled = torch.compile(module, fullgraph=True, backend="aot_eager")
    for actual, expected in zip(gradients(compiled, module, x), gradients(module, module, x)):
        assert_close(actual, expected, 1e-4)


def test_the_layer_compiles_for_any_size():
    module = layer(dtype=torch.float32)
    torch._dynamo.reset()
    compiled = torch.compile(module, fullgraph=True, backend="aot_eager", dynamic=True)
    for size in ((2, 3, 6, 5), (1, 3, 9, 4)):
        x = random(size, torch.float32, 4)
        assert_close(compiled(x), module(x), 1e-5)


@both_solvers
def test_the_layer_takes_any_layout_and_an_empty_batch(solver):
    module = layer(dtype=torch.float32, solver=solver, tolerance=1e-5)
    x = random((2, 3, 6, 5), torch.float32, 4)
    expected = module(x)
    assert expected.is_contiguous()
    # Torch's convolutions inside the layer may round otherwise in channels_last: on some processors they do.
    assert_close(module(x.contiguous(memory_format=torch.channels_last)), expected, 1e-6)
    assert_close(module(x.transpose(2, 3).contiguous().transpose(2, 3)), expected, 1e-6)
    assert_close(module.to(memory_format=torch.channels_last)(x[:1]), expected[:1], 1e-6)
    x = torch.zeros(0, 3, 6, 5, requires_grad=True)
    output = module(x)
    assert output.shape == (0, 3, 12, 10)
    output.sum().backward()
    assert x.grad.shape == x.shape and all((p.grad == 0).all() for p in module.parameters())


@both_solvers
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_the_layer_takes_16_bits_and_autocast(solver, dtype):
    module = layer(dtype=torch.float32, solver=solver, tolerance=1e-5)
    x = random((1, 3, 6, 5), torch.float32, 4)
    expected = module(x)
    with torch.autocast("cpu", dtype=dtype):
        output = module(x)
    assert output.dtype == torch.float32
    assert_close(output, expected, 5e-2)
    narrow = module.to(dtype)(x.to(dtype))
    assert narrow.dtype == dtype
    assert_close(narrow, expected, 5e-2)


def test_the_state_dict_is_the_published_one():
    assert {key: list(value.shape) for key, value in WRC(4, 4, 3).state_dict().items()} == {
        "weight": [1, 4, 3, 3],
        "bias": [1, 4, 1, 1],
        "w_conv_low.weight": [4, 4, 3, 3],
        "w_conv_high.weight": [4, 4, 3, 3],
    }
    assert_close(WRC(4, 4, 3).weight.sum((2, 3)), torch.ones(1, 4), 1e-6)


@every_case
def test_exact_is_the_minimiser_and_spectral_is_not(name):
    measures = wrc_objective.measures(golden.load(name, torch.float64))
    objective, residual = ({solution: pair[i] for solution, pair in measures.items()} for i in (0, 1))
    assert objective["exact"] < objective["bilinear"] < min(objective["spectral"], objective["spectral, centred"])
    assert residual["exact"] < wrc_objective.TOLERANCE < 0.05 < residual["bilinear"] < residual["spectral"]


def test_an_exact_solution_that_was_not_reached_is_reported(warned):
    x = random((1, 3, 6, 5), torch.float64, 4)
    layer(solver="exact", kernel_size=5)(x)
    assert not warned()
    layer(solver="exact", kernel_size=5, max_iterations=1)(x)
    assert "wrc_exact: " in warned()


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"out_channels": 4}, "out_channels should be in_channels 3 but is 4"),
        ({"kernel_size": 0}, "kernel_size should be an integer >= 1 but is 0"),
        ({"scale": 1.5}, "scale should be an integer >= 1 but is 1.5"),
        ({"padding": -1}, "padding should be an integer >= 0 but is -1"),
        ({"padding_mode": "mirror"}, "padding_mode should be one of circular, constant, reflect, replicate"),
        ({"eps": 0}, "eps should be positive and finite but is 0"),
        ({"eps": float("nan")}, "eps should be positive and finite but is nan"),
        ({"solver": "fast"}, "solver should be one of spectral, exact but is 'fast'"),
        ({"centre": "corner"}, "centre should be one of image, kernel but is 'corner'"),
        ({"tolerance": -1e-3}, "tolerance should be in 0 .. 1"),
        ({"max_iterations": 0}, "max_iterations should be an integer >= 1 but is 0"),
    ],
    ids=str,
)
def test_bad_settings_are_refused_by_name(arguments, message):
    with pytest.raises(ValueError, match=f"WRC: {message}"):
        WRC(**{"in_channels": 3, "out_channels": 3, "kernel_size": 3, **arguments})


def test_bad_maps_are_refused_by_name():
    with pytest.raises(ValueError, match=r"WRC: x should be \[N, 3.* but is \[1, 4, 5, 5\]"):
        WRC(3, 3, 3)(torch.zeros(1, 4, 5, 5))
    with pytest.raises(ValueError, match=r"WRC: padding should be smaller than the map .* but is 2 for x \[1, 3, 2, 5\]"):
        WRC(3, 3, 3, padding_mode="reflect")(torch.zeros(1, 3, 2, 5))


@both_solvers
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_weight_that_is_not_finite_is_refused(solver, value):
    module = layer(solver=solver)
    with torch.no_grad():
        module.weight[0, 1, 0, 0] = value
    with pytest.raises(RuntimeError, match=f"wrc_{solver}: weight should be finite"):
        module(torch.zeros(1, 3, 5, 5, dtype=torch.float64))
