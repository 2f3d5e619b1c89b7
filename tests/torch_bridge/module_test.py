"""The modules: one call for every upsampler, and the settings that have to work."""

import pytest
import torch
import upwell
from torch.utils.checkpoint import checkpoint
from upwell.nn.make import NAMES, UPSAMPLERS

import golden
from compare import assert_close
from problems import random
from reference import formula, upsamplers

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
def test_every_module_takes_maps_one_pixel_wide_or_as_narrow_as_it_says(name, low):
    guide, x = maps([max(length, UPSAMPLERS[name].cells) for length in low], ratio=3)
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
    module = upwell.nn.make(name, 8, 12, 2).eval()  # in training NAF scales positions at random, and JBU drops channels
    compiled = torch.compile(module, fullgraph=True, dynamic=dynamic, backend="eager")
    for n, low in ((2, (4, 5)), (3, (6, 8)), (2, (5, 9))):
        given = maps(low, n=n)
        assert_close(compiled(*given), module(*given), 1e-5)


@every_module
@pytest.mark.parametrize("reentrant", [False, True], ids=["not reentrant", "reentrant"])
def test_every_module_can_be_checkpointed(name, reentrant):
    module = upwell.nn.make(name, 8, 12, 2).eval()
    guide, x = (tensor.requires_grad_() for tensor in maps())
    gradients = []
    for call in (module, lambda *given: checkpoint(module, *given, use_reentrant=reentrant)):
        module.zero_grad()
        x.grad = None
        torch.manual_seed(1)
        call(guide, x).square().sum().backward()
        gradients.append([x.grad, *(parameter.grad for parameter in module.parameters())])
    for expected, actual in zip(*gradients):
        assert (expected is None) == (actual is None)
        assert expected is None or torch.equal(expected, actual)


@every_module
def test_a_module_trains(name):
    """A step along the gradient of a module, or of its features, makes the error smaller."""
    torch.manual_seed(0)
    module = upwell.nn.make(name, 8, 12, 2).eval()  # in training NAF scales positions at random, and JBU drops channels
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


@pytest.mark.parametrize(
    "module, options",
    [
        ("SAPA", {"qkv_bias": False}),
        ("SAPA", {"norm": False}),
        ("SAPA", {"up_kernel_size": 3}),
        ("SAPA", {"border": "mask"}),
        *(("SAPAExp", {"q_mode": mode}) for mode in ("encoder_only", "cat", "gate")),
        *(("SAPAExp", {"q_mode": mode, "qkv_bias": False}) for mode in ("cat", "gate")),
        ("SAPAExp", {"v_embed": True}),
        ("SAPAExp", {"norm": torch.nn.Identity}),
        *(("FADE", {"variant": variant}) for variant in ("l2h", "h2l", "lite", "ungated")),
        ("FADE", {"up_kernel_size": 3, "border": "mask"}),
    ],
    ids=str,
)
def test_a_guided_module_takes_every_setting_and_any_size(module, options):
    ratio = "scale" if module == "FADE" else "up_factor"
    reference = {"SAPA": upsamplers.sapa, "SAPAExp": upsamplers.sapa_exp, "FADE": upsamplers.fade}[module]
    for factor, high in ((2, (10, 14)), (3, (15, 21)), (None, (13, 16)), (None, (3, 7))):
        built = getattr(upwell.nn, module)(12, 8, **{ratio: factor, **options}).double()
        with torch.no_grad():
            for i, parameter in enumerate(built.parameters()):
                parameter.add_(random(parameter.shape, torch.float64, i), alpha=0.2)
        shapes = (2, 12, *high), (2, 8, 5, 7)
        leaves = [random(shape, torch.float64, i).requires_grad_() for i, shape in enumerate(shapes)]
        results = []
        for call in (built, lambda *given: reference(built, *given)):
            output = call(*leaves)
            results.append([output, *torch.autograd.grad(output.square().sum(), [*leaves, *built.parameters()])])
        for actual, expected in zip(*results):
            assert_close(actual, expected.detach(), 1e-9, scale=max(1.0, expected.abs().max().item()))


@pytest.mark.parametrize("variant", ["l2h", "h2l", "lite"])
@pytest.mark.parametrize("channels", [5, 96])
@pytest.mark.parametrize("high", [(1, 1), (1, 4), (2, 3), (5, 1), (6, 7)], ids=str)
def test_fade_compresses_and_encodes_at_once_where_that_is_less_with_the_same_numbers_at_every_border(variant, channels, high):
    module = upwell.nn.FADE(channels, 6, None, 3, variant).double()
    with torch.no_grad():
        for i, parameter in enumerate(module.parameters()):
            parameter.add_(random(parameter.shape, torch.float64, i), alpha=0.2)
    leaves = [random((2, channels, *high), torch.float64, 1), random((2, 6, 2, 3), torch.float64, 2)]
    leaves = [leaf.requires_grad_() for leaf in leaves]
    compressor = module.kernel_generator.conv1_en if variant == "h2l" else module.ker_generator.compressor_en
    called = []
    hook = compressor.register_forward_hook(lambda *_: called.append(True))
    results = []
    for call in (module, lambda *given: hook.remove() or module(*given), lambda *given: upsamplers.fade(module, *given)):
        output = call(*leaves)
        results.append([output, *torch.autograd.grad(output.square().sum(), [*leaves, *module.parameters()])])
    assert called == [True]
    for others in results[:2]:
        for actual, expected in zip(others, results[2]):
            assert_close(actual, expected.detach(), 1e-9, scale=max(1.0, expected.abs().max().item()))


def test_sapa_exp_makes_other_channels_of_x_by_an_embedding():
    guide, x = maps()
    module = upwell.nn.SAPAExp(12, 8, 5)
    assert module.v.out_features == 5 and module(guide, x).shape == (1, 5, 8, 10)
    assert upwell.nn.SAPAExp(12, 8).v is None


@pytest.mark.parametrize("block", ["holistic", "o2o", "m2o"])
@pytest.mark.parametrize("nonlinear", [False, True], ids=["linear", "nonlinear"])
@pytest.mark.parametrize("context", [False, True], ids=["cell", "context"])
@pytest.mark.parametrize("ratio", [1, 2, 3, 4, 5])
def test_index_net_takes_every_block_and_ratio(block, nonlinear, context, ratio):
    low = (3, 4)
    guide, x = (random((2, 6, ratio * low[0], ratio * low[1]), torch.float64, 1), random((2, 6, *low), torch.float64, 2))
    module = upwell.nn.IndexNet(6, 6, ratio, block, nonlinear, context).double()
    assert_close(module(guide, x), upsamplers.index_net(module, guide, x).detach(), 1e-12)
    idx_en, idx_de = module.block(guide)
    for actual, expected in zip((idx_en, idx_de), upsamplers.indices(module.block, guide)):
        assert_close(actual, expected.detach(), 1e-12)
    assert idx_en.shape == idx_de.shape == (2, 1 if block == "holistic" else 6, *guide.shape[2:])
    # A cell's shares of a pooling sum to 1.
    ones = torch.ones_like(guide)
    assert_close(upwell.nn.index_pool(ones, idx_en, ratio), torch.ones(2, 6, *low), 1e-12)


def test_an_index_is_made_of_its_cell_or_of_one_more_around_it():
    """Which pixels of the guide an index depends on: at r = 2, kernels of 2 see the cell, of 4 one pixel more."""
    for context, reach in ((False, 0), (True, 1)):
        guide = random((1, 3, 12, 12), torch.float64, 1).requires_grad_()
        _, idx_de = upwell.nn.HolisticIndexBlock(3, use_context=context).double()(guide)
        (gradient,) = torch.autograd.grad(idx_de[0, 0, 6, 6], guide)
        rows = gradient.abs().sum((0, 1, 3)).nonzero().flatten().tolist()
        assert rows == list(range(6 - reach, 8 + reach))


@pytest.mark.parametrize("ratio", [1, 2, 3, 4, 8])
@pytest.mark.parametrize("kernel", [1, 2, 3, 4, 5, 7, 9])
def test_deconv_makes_the_output_the_ratio_times_the_input(ratio, kernel):
    if ratio == 1 and kernel % 2 == 0:
        pytest.skip("no padding makes these sizes fit")
    x = random((2, 4, 3, 5), torch.float32, 1)
    module = upwell.nn.Deconv(4, 6, kernel, ratio, groups=2)
    assert module(x).shape == (2, 6, 3 * ratio, 5 * ratio)
    with torch.no_grad():  # pixels that one cell reaches, from its own on
        module.weight.fill_(1)
        module.bias.zero_()
        reached = module(torch.zeros(1, 4, 1, 5).index_fill(3, torch.tensor(2), 1.0))[0, 0, 0].nonzero().flatten()
    first = 2 * ratio - max(0, (kernel - ratio + 1) // 2)
    assert reached.tolist() == [p for p in range(first, first + kernel) if 0 <= p < 5 * ratio]


def test_published_initial_values():
    torch.manual_seed(0)
    for module in (upwell.nn.SAPA(256, embedding_dim=64), upwell.nn.SAPAExp(256)):
        for layer in (module.q, module.k):
            assert layer.weight.std().item() == pytest.approx(0.02, rel=0.05) and not layer.bias.any()
    fade = upwell.nn.FADE(64, 128)
    for layer in (each for each in fade.modules() if isinstance(each, torch.nn.Conv2d)):
        bound = (6 / (layer.weight[0].numel() + layer.weight.shape[0] * layer.weight[0, 0].numel())) ** 0.5
        assert 0.9 * bound < layer.weight.abs().max() <= bound
        assert layer.bias is None or not layer.bias.any()
    generator = upwell.nn.FADE(64, variant="h2l").kernel_generator
    deviation = (2 / (9 * (64 + 25))) ** 0.5
    assert generator.conv2_kernels.std().item() == pytest.approx(deviation, rel=0.05) and not generator.conv2_bias.any()


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


@pytest.mark.parametrize("name", ["carafe", "lctc", "wrc", "dysample", "pixelshuffle", "deconv"])
def test_a_map_of_another_rank_is_named(name):
    guide, x = maps()
    with pytest.raises(ValueError, match=r": x should be \[N, C, h, w\] but is \[8, 4, 5\]"):
        upwell.nn.make(name, 8, 12, 2)(guide, x[0])
