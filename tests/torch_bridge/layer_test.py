"""Tools that reach into a module: every layer of every module, hooked, reparametrised, pruned, replaced or wrapped, does
what it does in the same module composed of calls in torch's operations."""

import copy
import re
import warnings

import pytest
import torch
import torch.nn.functional as F
import torch.nn.utils.prune
import upwell
from torch import Tensor, nn
from torch.nn.modules import module as every_module
from torch.nn.utils import parametrize
from upwell.nn.pcdc import PCDCBlock, Ratio

from bad_input_test import refused
from compare import assert_close
from problems import random
from reference import composition, formula, upsamplers, wrc
from resfu_draws import assert_all_close


class ComposedBlock(PCDCBlock):
    """With lr_mult 1."""

    def forward(self, k, q, rows=None, columns=None, blur=False) -> Tensor:
        size, low, weight = q.shape[2:], k.shape[2:], self.weight  # read once: spectral_norm changes it every time
        k = composition.gaussian3(k) if blur else k
        if rows is not None or all(high % length == 0 for high, length in zip(size, low)):
            if rows is None:
                k, rows, columns = formula.bilinear(k, size), *map(Ratio, size, low)
            v = composition.spread_convolution(self.norm(k), weight, self.groups, (*rows, *columns))
        else:
            mean, rstd = composition.group_stats(k, self.norm.num_groups, size=size)
            mean, rstd = (s.repeat_interleave(k.shape[1] // self.norm.num_groups, 1) for s in (mean, rstd))
            k = (k - mean[..., None, None]) * (rstd * self.norm.weight)[..., None, None]
            k = k + self.norm.bias[:, None, None]
            around = self.kernel_size // 2 + 1
            k = F.conv2d(composition.replicate_pad(k, around, around), weight, groups=self.groups)
            v = composition.upsample_beyond_border(k, size)
        v = v - F.conv2d(self.norm(q), weight.sum((2, 3), keepdim=True), groups=self.groups) + self.bias
        return self.channel_compressor(v)


class ComposedReSFU(upwell.nn.ReSFU):
    """At sizes that scale_factor fits."""

    def forward(self, y: Tensor, x: Tensor) -> Tensor:
        ratios = [Ratio(*lengths) for lengths in zip(y.shape[2:], x.shape[2:])]
        q = self.q(self.norm_y(y) if self.normy else y)
        k = self.k(self.norm_x(x) if self.normx else x)
        scores = self.semantic_scores(k, self.GF(q, k)) + self.detail_scores(q, q, *ratios, blur=True)
        return formula.fns(x, scores, self.kernel_size)


class ComposedLCTC(upwell.nn.LCTC):
    def forward(self, x: Tensor) -> Tensor:
        return self.large(x) if self.small is None else self.large(x) + self.small(x)


class ComposedCARAFE(upwell.nn.CARAFE):
    def forward(self, x: Tensor) -> Tensor:
        logits = F.pixel_shuffle(self.content_encoder(self.channel_compressor(x)), self.scale_factor)
        return formula.carafe(x, logits, self.up_kernel, self.up_group, self.border)


class ComposedWRC(upwell.nn.WRC):
    """With the kernel's spectrum rolled by half the image."""

    def forward(self, x: Tensor) -> Tensor:
        size, border = [self.scale * length for length in x.shape[2:]], self.scale * self.padding
        x = F.pad(x, [self.padding] * 4, mode=self.padding_mode)
        weight, weighted = wrc.data(x, self.w_conv_low(x))
        z = wrc.upsample(x, self.scale)
        precision = torch.log1p(self.w_conv_high(z) ** 2) + F.softplus(self.bias) + self.eps
        solve, samples = (wrc.exact, x) if self.solver == "exact" else (wrc.spectral, weighted)
        X = solve(precision, precision * z, weight, samples, self.weight[0], self.scale)
        return X[:, :, border : border + size[0], border : border + size[1]]


class ComposedSAPA(upwell.nn.SAPA):
    forward = upsamplers.sapa


class ComposedSAPAExp(upwell.nn.SAPAExp):
    forward = upsamplers.sapa_exp


class ComposedPixelShuffle(upwell.nn.PixelShuffle):
    def forward(self, x: Tensor) -> Tensor:
        return self[1](self[0](x))


class ComposedDySample(upwell.nn.DySample):
    forward = upsamplers.dysample


COMPOSED = {"ReSFU": ComposedReSFU, "LCTC": ComposedLCTC, "CARAFE": ComposedCARAFE, "WRC": ComposedWRC}
COMPOSED |= {"SAPA": ComposedSAPA, "SAPAExp": ComposedSAPAExp, "PixelShuffle": ComposedPixelShuffle}
COMPOSED["DySample"] = ComposedDySample
RESFU = ("ReSFU", (3, 4), {"embedding_dim": 8, "groups": 2, "gn_dim": 4, "radius": 3, "scale_factor": 2})
MODULES = {
    "ReSFU": RESFU,
    "ReSFU, paper's layout, no norms": (*RESFU[:2], {**RESFU[2], "layout": "paper", "normx": False, "normy": False}),
    "ReSFU, no projection": ("ReSFU", (8, 4), {**RESFU[2], "y_conv": False}),
    "ReSFU, real ratio": (*RESFU[:2], {**RESFU[2], "scale_factor": None}),
    "CARAFE": ("CARAFE", (4, 2), {"compressed_channels": 8}),
    "LCTC": ("LCTC", (4, 4), {"groups": 4}),
    "LCTC, dense": ("LCTC", (16, 4), {"bias": False, "stride": 3}),
    "LCTC, no small branch": ("LCTC", (4, 2), {"small_kernel": None}),
    "SAPA": ("SAPA", (3, 4), {"embedding_dim": 8}),
    "SAPA, no norms": ("SAPA", (3, 4), {"embedding_dim": 8, "norm": False, "border": "mask"}),
    "SAPAExp": ("SAPAExp", (3, 4), {"embedding_dim": 8, "v_embed": True}),
    "SAPAExp, both": ("SAPAExp", (3, 4), {"embedding_dim": 8, "q_mode": "cat"}),
    "SAPAExp, gate": ("SAPAExp", (3, 4), {"embedding_dim": 8, "q_mode": "gate", "out_dim": 5}),
    "PixelShuffle": ("PixelShuffle", (4, 2), {}),
    "DySample": ("DySample", (8, 2), {"dyscope": True}),
    "DySample, pl": ("DySample", (8, 2), {"style": "pl", "groups": 2, "dyscope": True}),
    "WRC": ("WRC", (2, 2, 3, 2), {}),
    "WRC, exact": ("WRC", (2, 2, 3, 2), {"solver": "exact", "tolerance": 1e-13, "max_iterations": 300}),
}


def make(name: str, composed: bool = False) -> nn.Module:
    """The module with parameters that matter, or the same composed."""
    kind, arguments, options = MODULES[name]
    torch.manual_seed(0)
    module = (COMPOSED if composed else vars(upwell.nn))[kind](*arguments, **options).double()
    for block in module.modules():
        if composed and type(block) is PCDCBlock:
            block.__class__ = ComposedBlock
    with torch.no_grad():
        for i, parameter in enumerate(module.parameters()):
            parameter.add_(random(parameter.shape, torch.float64, i), alpha=0.2)
    return module


def inputs(name: str, dtype: torch.dtype = torch.float64) -> list[Tensor]:
    kind, (first, second, *_), _ = MODULES[name]
    if kind not in ("ReSFU", "SAPA", "SAPAExp"):
        return [random((2, first, 5, 6), dtype, 7)]
    high = (13, 17) if "real" in name else (10, 12)
    return [random((2, first, *high), dtype, 7), random((2, second, 5, 6), dtype, 8)]


class Wrapper(nn.Module):
    """A layer and a delta, as adapters are; it shows the layer's attributes."""

    def __init__(self, layer: nn.Module):
        super().__init__()
        self.layer = layer
        self.delta = nn.Parameter(torch.tensor(0.25, dtype=torch.float64))

    def __getattr__(self, name: str):
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(self.layer, name)

    def forward(self, *given, **named) -> Tensor:
        output = self.layer(*given, **named)
        return output + self.delta * output.square()


class Halved(nn.Module):
    """Of a parameter, for parametrize."""

    def forward(self, x: Tensor) -> Tensor:
        return 0.5 * x


def replace(module: nn.Module, name: str, layer: nn.Module) -> None:
    parent, _, last = name.rpartition(".")
    setattr(module.get_submodule(parent), last, layer)


def changed_class(layer: nn.Module) -> None:
    class Child(type(layer)):
        def forward(self, *given, **named):
            return 0.5 * super().forward(*given, **named)

    layer.__class__ = Child


def changed_forward(layer: nn.Module) -> None:
    before = layer.forward
    layer.forward = lambda *given, **named: 0.5 * before(*given, **named)


# Tools of a layer, and what a layer needs to have for each.
WATCHES = {
    "forward hook": lambda layer: layer.register_forward_hook(lambda _, __, output: 0.5 * output),
    "forward pre-hook": lambda layer: layer.register_forward_pre_hook(
        lambda _, given: tuple(0.5 * each if isinstance(each, Tensor) else each for each in given)
    ),
    "backward hook": lambda layer: layer.register_full_backward_hook(
        lambda _, gradients, __: tuple(None if each is None else 0.5 * each for each in gradients)
    ),
    "backward pre-hook": lambda layer: layer.register_full_backward_pre_hook(
        lambda _, gradients: tuple(0.5 * each for each in gradients)
    ),
    "subclass": changed_class,
    "forward of its own": changed_forward,
}
REPARAMETRISED = {
    "spectral_norm by hook": lambda layer: nn.utils.spectral_norm(layer),
    "weight_norm by hook": lambda layer: nn.utils.weight_norm(layer),
    "parametrized spectral_norm": lambda layer: nn.utils.parametrizations.spectral_norm(layer),
    "parametrization": lambda layer: parametrize.register_parametrization(layer, "weight", Halved()),
    "prune": lambda layer: nn.utils.prune.l1_unstructured(layer, "weight", amount=0.4),
}


def step(module: nn.Module, given: list[Tensor], optimiser: torch.optim.Optimizer) -> list[Tensor]:
    """Of training: the output, and the gradients of the inputs and parameters."""
    leaves = [tensor.clone().requires_grad_() for tensor in given]
    optimiser.zero_grad()
    output = module(*leaves)
    output.backward(random(tuple(output.shape), output.dtype, 9))
    gradients = [leaf.grad for leaf in leaves] + [parameter.grad for parameter in module.parameters()]
    optimiser.step()
    return [output.detach(), *(torch.zeros(()) if gradient is None else gradient for gradient in gradients)]


def check(name: str, tool) -> None:
    """Two steps of the module under the tool, and of the same composed of calls."""
    steps = []
    for composed in (False, True):
        module = make(name, composed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # weight_norm by hook, deprecated
            tool(module)
        optimiser = torch.optim.SGD(module.parameters(), lr=1e-3)
        steps.append(step(module, inputs(name), optimiser) + step(module, inputs(name), optimiser))
    assert_all_close(*steps, 1e-8, name)


# What of a module is tried; all of those that are not here. The norms of PCDC at a real ratio have a test of their own.
TRIED = {
    "ReSFU, paper's layout, no norms": r"[qk]|semantic_scores.*",
    "ReSFU, no projection": "q|norm_y",
    "ReSFU, real ratio": r"GF|semantic_scores|detail_scores|.*channel_compressor.*",
}


def layers(wanted=lambda layer: True) -> list[tuple[str, str]]:
    return [
        (name, layer)
        for name in MODULES
        for layer, found in make(name).named_modules()
        if layer and wanted(found) and re.fullmatch(TRIED.get(name, ".*"), layer)
    ]


@pytest.mark.parametrize("name", MODULES)
def test_the_composed_module_is_the_module(name):
    check(name, lambda module: None)


@pytest.mark.parametrize("name, layer", layers())
def test_a_hook_a_subclass_and_a_wrapper_of_any_layer_take_effect(name, layer):
    for tool in WATCHES.values():
        check(name, lambda module: tool(module.get_submodule(layer)))
    check(name, lambda module: replace(module, layer, Wrapper(module.get_submodule(layer))))


@pytest.mark.parametrize("name, layer", layers(lambda found: getattr(found, "weight", None) is not None))
def test_a_reparametrisation_and_pruning_of_any_layer_take_effect_at_every_step(name, layer):
    for tool, reparametrise in REPARAMETRISED.items():
        if "norm" not in tool or make(name).get_submodule(layer).weight.dim() > 1:
            check(name, lambda module: reparametrise(module.get_submodule(layer)))


@pytest.mark.parametrize("name", MODULES)
def test_a_hook_that_watches_sees_every_layer_and_changes_nothing(name):
    module, seen = make(name), []
    expected = module(*inputs(name))
    for kind in ("own", "of every module"):
        seen.clear()
        register = [each.register_forward_hook for each in module.modules()]
        register = register if kind == "own" else [every_module.register_module_forward_hook]
        handles = [each(lambda layer, *_: seen.append(layer)) for each in register]
        try:
            output = module(*inputs(name))
        finally:
            for handle in handles:
                handle.remove()
        assert {id(each) for each in module.modules()} == {id(each) for each in seen}
        if "real" not in name:
            assert_close(output, expected, 1e-9)
        assert torch.equal(module(*inputs(name)), expected)


def test_a_pcdc_norm_that_is_called_sees_the_upsampled_key_at_real_ratios_too():
    block = make("ReSFU, real ratio").semantic_scores
    k, q = random((2, 8, 5, 6), torch.float64, 1), random((2, 8, 13, 17), torch.float64, 2)
    expected = block(upwell.ops.bilinear(k, (13, 17)), q, Ratio(13, 5), Ratio(17, 6))
    sizes = []
    block.norm.register_forward_hook(lambda _, given, __: sizes.append(tuple(given[0].shape[2:])))
    assert_close(block(k, q), expected, 1e-9)
    assert sizes == [(13, 17), (13, 17)]


OTHERS = {
    "norm of no parameters": ("ReSFU", "norm_x", lambda: nn.GroupNorm(2, 4, affine=False)),
    "another norm": ("ReSFU", "norm_y", lambda: nn.BatchNorm2d(3)),
    "projection by a larger kernel": ("ReSFU", "q", lambda: nn.Conv2d(3, 8, 3, padding=1)),
    "grouped projection": ("ReSFU", "k", lambda: nn.Conv2d(4, 8, 1, groups=2)),
    "no ReLU": ("ReSFU", "semantic_scores.channel_compressor.2", nn.Identity),
    "another activation": ("ReSFU", "detail_scores.channel_compressor.2", nn.GELU),
    "other groups": ("ReSFU", "detail_scores.channel_compressor.3", lambda: nn.GroupNorm(2, 128)),
    "no bias": ("ReSFU", "semantic_scores.channel_compressor.4", lambda: nn.Conv2d(128, 9, 1, bias=False)),
    "a larger branch": ("LCTC", "small", lambda: nn.ConvTranspose2d(4, 4, 5, 2, 2, 1, groups=2)),
    "no bias of a branch": ("LCTC", "small", lambda: nn.ConvTranspose2d(4, 4, 3, 2, 1, 1, groups=4, bias=False)),
    "dilated": ("WRC", "w_conv_high", lambda: nn.Conv2d(2, 2, 3, padding=2, dilation=2, bias=False)),
    "biased": ("WRC", "w_conv_high", lambda: nn.Conv2d(2, 2, 3, padding=1)),
}


@pytest.mark.parametrize("case", OTHERS)
def test_another_layer_in_a_layers_place_takes_effect(case):
    name, layer, build = OTHERS[case]

    def place(module: nn.Module) -> None:
        replace(module, layer, build().double())

    check(name, place)


def test_lr_mult_scales_the_gradients_of_layers_that_are_called():
    gradients = []
    for lr_mult, hooked in ((3.0, False), (3.0, True)):
        torch.manual_seed(0)
        module = upwell.nn.ReSFU(3, 4, **RESFU[2], lr_mult=lr_mult).double()
        if hooked:
            for layer in [*module.semantic_scores.modules(), *module.detail_scores.modules()]:
                layer.register_forward_hook(lambda *_: None)
        gradients.append(step(module, inputs("ReSFU"), torch.optim.SGD(module.parameters(), lr=0.0)))
    assert_all_close(*gradients, 1e-8, "lr_mult 3")
    module.semantic_scores.lr_mult = 0
    with refused("PCDCBlock", "lr_mult", "hooks"):
        module(*inputs("ReSFU"))


@pytest.mark.parametrize("tool", ["hook", "parametrization"])
def test_branches_that_have_to_be_called_are_not_folded(tool):
    module = make("LCTC")
    if tool == "hook":
        nn.utils.spectral_norm(module.small)
    else:
        nn.utils.parametrizations.weight_norm(module.small)
    for call in (module.fold, module.merged):
        with refused("LCTC", "small", "hooks" if tool == "hook" else "ParametrizedConvTranspose2d"):
            call()
    if tool == "hook":
        nn.utils.remove_spectral_norm(module.small)
    else:
        parametrize.remove_parametrizations(module.small, "weight")
    assert_close(module.fold()(*inputs("LCTC")), module(*inputs("LCTC")), 1e-12)


@pytest.mark.parametrize("name", MODULES)
def test_autocast_takes_a_module_whose_layers_are_called(name):
    module, given = make(name).float(), inputs(name, torch.float32)
    expected = module(*given)
    for layer in list(module.modules())[1:]:
        layer.register_forward_hook(lambda *_: None)
    with torch.autocast("cpu", torch.bfloat16):
        output = module(*given)
    assert output.isfinite().all() and output.dtype in (torch.float32, torch.bfloat16)
    output.float().square().mean().backward()
    assert all(parameter.grad.isfinite().all() for parameter in module.parameters())
    if "real" not in name and "WRC" not in name:  # WRC's solution is far more sensitive than 16 bits
        assert_close(output.float(), expected, 0.1)


@pytest.mark.parametrize("name", MODULES)
@pytest.mark.parametrize("hooked", [False, True], ids=["plain", "called"])
def test_torch_compile_and_export_take_a_module_in_one_graph(name, hooked):
    module, given = make(name), inputs(name)
    if hooked:
        for layer in list(module.modules())[1:]:
            layer.register_forward_hook(lambda _, __, output: 0.5 * output)
    expected = module(*given)
    torch._dynamo.reset()
    assert_close(torch.compile(module, fullgraph=True, dynamic=False, backend="aot_eager")(*given), expected, 1e-9)
    assert_close(torch.export.export(module, tuple(given)).module()(*given), expected, 1e-9)


@pytest.mark.parametrize("name", MODULES)
def test_a_copy_keeps_hooks_and_state(name):
    module = make(name)
    for layer in list(module.modules())[1:]:
        layer.register_forward_hook(lambda _, __, output: 0.5 * output)
    other = copy.deepcopy(module)
    other.load_state_dict(module.state_dict(), strict=True)
    assert torch.equal(other(*inputs(name)), module(*inputs(name)))


@pytest.mark.parametrize("name", ["carafe", "lctc", "wrc"])
def test_a_wrapper_that_shows_no_attribute_may_stand_around_an_upsampler_of_make(name):
    module = upwell.nn.make(name, 4, 3, 2)
    guide, x = torch.randn(1, 3, 8, 10), torch.randn(1, 4, 4, 5)
    expected = module(guide, x)
    module.upsampler = nn.Sequential(module.upsampler)
    assert torch.equal(module(guide, x), expected)
    with pytest.raises(ValueError, match=r"guide should be \[N, C, 8, 10\]"):
        module(guide[..., :9], x)
