"""The modules: one call for every upsampler, and the settings that have to work."""

import pytest
import torch
import upwell
from torch.utils.checkpoint import checkpoint
from upwell.nn.make import NAMES

import golden
from compare import assert_close
from problems import random
from reference import formula

every_module = pytest.mark.parametrize("name", NAMES)


def maps(low=(4, 5), ratio=2, n=1) -> tuple[torch.Tensor, torch.Tensor]:
    """A guide with 12 channels and features with 8."""
    high = (low[0] * ratio, low[1] * ratio)
    return random((n, 12, *high), torch.float32, 1), random((n, 8, *low), torch.float32, 2)


@every_module
@pytest.mark.parametrize("ratio", [1, 2, 3, 4, 8])
def test_every_module_made_takes_guide_and_features(name, ratio):
    guide, x = maps(ratio=ratio)
    output = upwell.nn.make(name, 8, 12, ratio)(guide, x)
    assert output.shape == (1, 8, 4 * ratio, 5 * ratio) and output.isfinite().all()


@every_module
@pytest.mark.parametrize("low", [(1, 1), (1, 5), (7, 1)], ids=str)
def test_every_module_takes_maps_one_pixel_wide(name, low):
    guide, x = maps(low, ratio=3)
    guide.requires_grad_()
    x.requires_grad_()
    output = upwell.nn.make(name, 8, 12, 3)(guide, x)
    output.sum().backward()
    assert output.isfinite().all() and x.grad.isfinite().all()


@every_module
def test_every_module_takes_a_batch_of_none(name):
    guide, x = (each.requires_grad_() for each in maps(n=0))
    module = upwell.nn.make(name, 8, 12, 2)
    output = module(guide, x)
    assert output.shape == (0, 8, 8, 10)
    output.sum().backward()
    assert x.grad.shape == x.shape
    assert all(parameter.grad is None or not parameter.grad.any() for parameter in module.parameters())


@every_module
@pytest.mark.parametrize("dynamic", [None, True], ids=["automatic", "dynamic"])
def test_every_module_is_compiled_whole_for_any_size(name, dynamic):
    torch._dynamo.reset()
    module = upwell.nn.make(name, 8, 12, 2)
    compiled = torch.compile(module, fullgraph=True, dynamic=dynamic, backend="eager")
    for n, low in ((2, (4, 5)), (3, (6, 8)), (2, (5, 9))):
        given = maps(low, n=n)
        assert_close(compiled(*given), module(*given), 1e-5)


@every_module
@pytest.mark.parametrize("reentrant", [False, True], ids=["not reentrant", "reentrant"])
def test_every_module_can_be_checkpointed(name, reentrant):
    module = upwell.nn.make(name, 8, 12, 2)
    guide, x = (tensor.requires_grad_() for tensor in maps())
    gradients = []
    for call in (module, lambda *given: checkpoint(module, *given, use_reentrant=reentrant)):
        module.zero_grad()
        x.grad = None
        call(guide, x).square().sum().backward()
        gradients.append([x.grad, *(parameter.grad for parameter in module.parameters())])
    for expected, actual in zip(*gradients):
        assert (expected is None) == (actual is None)
        assert expected is None or torch.equal(expected, actual)


@every_module
def test_a_module_trains(name):
    """A step along the gradient of a module, or of its features, makes the error smaller."""
    torch.manual_seed(0)
    module = upwell.nn.make(name, 8, 12, 2)
    guide, x = maps()
    target = torch.randn(1, 8, 8, 10)
    x.requires_grad_()
    optimiser = torch.optim.SGD([x, *module.parameters()], lr=0.05)
    errors = []
    for _ in range(5):
        optimiser.zero_grad()
        error = (module(guide, x) - target).square().mean()
        error.backward()
        optimiser.step()
        errors.append(error.item())
    assert errors == sorted(errors, reverse=True)


def test_carafe_and_resfu_keep_their_published_call():
    guide, x = maps()
    assert upwell.nn.CARAFE(8, 2)(x).shape == (1, 8, 8, 10)
    assert upwell.nn.ReSFU(12, 8, scale_factor=2)(guide, x).shape == (1, 8, 8, 10)
    assert upwell.nn.ReSFU(8)(torch.randn(1, 8, 16, 20), x).shape == (1, 8, 16, 20)  # dim_x = dim_y, ratio 4


def test_bilinear_and_nearest_take_a_real_factor_or_a_size():
    _, x = maps()
    for module, reference in ((upwell.nn.Bilinear, formula.bilinear), (upwell.nn.Nearest, formula.nearest)):
        assert_close(module(2.5, recompute_scale_factor=True)(x), reference(x.double(), (10, 12)), 2e-6)
        assert_close(module()(x, (7, 9)), reference(x.double(), (7, 9)), 2e-6)


@pytest.mark.parametrize(
    "options",
    [
        {"kernel_size": 5},
        {"kernel_size": 7},
        {"embedding_dim": 16},
        {"embedding_dim": 64},
        {"groups": 1},
        {"groups": 2},
        {"groups": 8},
        {"gn_dim": 4},
        {"gn_dim": 16},
        {"gf_scale": 1},
        {"gf_scale": 4},
        {"gf_centred": True},
        {"radius": 0},
        {"radius": 1},
        {"radius": 40},
        {"y_conv": False, "embedding_dim": 12, "groups": 2, "gn_dim": 4},
        {"qkv_bias": False},
        {"normx": False},
        {"normy": False},
        {"layout": "paper"},
        {"scale_factor": None},
        {"scale_factor": 2.5},
        {"eps": 1e-2},
    ],
    ids=str,
)
def test_resfu_takes_every_setting(options):
    guide, x = maps((5, 7))
    if options.get("scale_factor") == 2.5:
        guide = random((1, 12, 12, 17), torch.float32, 1)
    module = upwell.nn.ReSFU(12, 8, **{"scale_factor": 2, **options})
    guide.requires_grad_()
    x.requires_grad_()
    output = module(guide, x)
    output.square().sum().backward()
    assert output.shape == (1, 8, *guide.shape[2:])
    assert output.isfinite().all() and guide.grad.isfinite().all() and x.grad.isfinite().all()


@pytest.mark.parametrize("kernel", [3, 5, 7])
def test_resfu_keeps_a_constant(kernel):
    guide, x = maps((5, 7))
    output = upwell.nn.ReSFU(12, 8, kernel_size=kernel, scale_factor=2)(guide, torch.full_like(x, 3))
    assert_close(output, torch.full_like(output, 3), 2e-6)


def test_lr_mult_scales_the_gradients_of_the_pcdc_parameters_and_no_others():
    case = golden.load("resfu_full__r4_5x7_y16_x32", torch.float64)
    gradients = []
    for lr_mult in (1.0, 10.0):
        module = upwell.nn.ReSFU(**case.hyper, lr_mult=lr_mult).double()
        module.load_state_dict(case.state_dict)
        module(*case.inputs.values()).backward(case.cotangent)
        gradients.append({name: parameter.grad for name, parameter in module.named_parameters()})
    for name, once in gradients[0].items():
        if name.endswith("scores.norm.bias"):
            continue  # 0, see the published defects
        factor = 10 if name.startswith(("semantic_scores.", "detail_scores.")) else 1
        assert_close(gradients[1][name], factor * once, 1e-10, name)


@pytest.mark.parametrize(
    "construct, message",
    [
        (lambda: upwell.nn.CARAFE(4, float("nan")), "CARAFE: scale_factor should be an integer >= 1 but is nan"),
        (lambda: upwell.nn.CARAFE(4, None), "CARAFE: scale_factor should be an integer >= 1 but is None"),
        (lambda: upwell.nn.CARAFE(4, 1.5), "CARAFE: scale_factor should be an integer >= 1 but is 1.5"),
        (lambda: upwell.nn.Bilinear(None), "Bilinear: scale_factor should be positive and finite but is None"),
        (lambda: upwell.nn.Nearest("2x"), "Nearest: scale_factor should be positive and finite but is 2x"),
        (
            lambda: upwell.nn.ReSFU(4, scale_factor=float("inf")),
            "ReSFU: scale_factor should be positive and finite or None but is inf",
        ),
    ],
)
def test_a_scale_factor_that_cannot_be_is_named(construct, message):
    with pytest.raises(ValueError, match=message):
        construct()


@pytest.mark.parametrize("name", ["carafe", "lctc", "wrc"])
def test_a_map_of_another_rank_is_named(name):
    guide, x = maps()
    with pytest.raises(ValueError, match=r": x should be \[N, C, h, w\] but is \[8, 4, 5\]"):
        upwell.nn.make(name, 8, 12, 2)(guide, x[0])
