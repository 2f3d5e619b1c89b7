"""Modules in what surrounds them: two processes with DistributedDataParallel and fully_shard, operations in place."""

import textwrap

import pytest
import torch
import upwell

from compare import assert_close
from problems import random
from train_ddp_test import two_processes

EXACT = {"solver": "exact", "tolerance": 0.0, "max_iterations": 8}
# name of upwell.nn.make, channels, options
SETTINGS = {
    "ReSFU": ("resfu", 8, {"embedding_dim": 8, "groups": 2, "gn_dim": 4}),
    "ReSFU, one channel": ("resfu", 1, {"embedding_dim": 16, "layout": "paper", "lr_mult": 2.0}),
    "CARAFE": ("carafe", 8, {}),
    "LCTC": ("lctc", 8, {}),
    "LCTC, channels apart": ("lctc", 8, {"groups": 8}),
    "LCTC, one channel, one branch": ("lctc", 1, {"small_kernel": None}),
    "WRC": ("wrc", 8, {}),
    "WRC, one channel": ("wrc", 1, {}),
    "WRC, exact, no padding": ("wrc", 8, {"padding": 0, **EXACT}),
    "SAPA": ("sapa", 8, {"embedding_dim": 8}),
    "SAPA, one channel, no norms": ("sapa", 1, {"norm": False}),
    "FADE": ("fade", 8, {}),
    "FADE, h2l, equal channels": ("fade", 3, {"variant": "h2l"}),
    "FADE, lite": ("fade", 1, {"variant": "lite"}),
    "IndexNet": ("indexnet", 8, {}),
    "IndexNet, one to one": ("indexnet", 3, {"block": "o2o", "use_nonlinear": True, "use_context": True}),
    "DySample": ("dysample", 8, {"dyscope": True}),
    "DySample, one channel": ("dysample", 1, {}),
    "DySample, pl": ("dysample", 8, {"style": "pl"}),
    "local attender": ("local_attender", 8, {"num_connected": 13}),
    "PixelShuffle": ("pixelshuffle", 8, {}),
    "Deconv": ("deconv", 8, {"groups": 4}),
    "bilinear": ("bilinear", 8, {}),
    "nearest": ("nearest", 8, {}),
}
TRAINED = [setting for setting in SETTINGS if setting not in ("bilinear", "nearest")]
every_setting = pytest.mark.parametrize("setting", SETTINGS)


def make(setting: str, dtype: torch.dtype = torch.float64) -> torch.nn.Module:
    name, channels, options = SETTINGS[setting]
    torch.manual_seed(0)
    return upwell.nn.make(name, channels, 3, 2, **options).to(dtype)


def maps(setting: str, dtype: torch.dtype = torch.float64) -> list[torch.Tensor]:
    return [random((2, 3, 10, 12), dtype, 1), random((2, SETTINGS[setting][1], 5, 6), dtype, 2)]


def step(call, module: torch.nn.Module, given: list[torch.Tensor]) -> dict[str, torch.Tensor]:
    """The gradients of a module's parameters."""
    module.zero_grad()
    call(*given).square().mean().backward()
    return {name: parameter.grad for name, parameter in module.named_parameters()}


@pytest.mark.parametrize("setting", TRAINED)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=str)
def test_gradients_have_the_strides_of_their_parameters_and_buffers_are_contiguous(setting, layout):
    module = make(setting).to(memory_format=layout)
    given = [tensor.contiguous(memory_format=layout) for tensor in maps(setting)]
    gradients = step(module, module, given)
    for name, parameter in module.named_parameters():
        assert gradients[name].stride() == parameter.stride(), name
    for name, buffer in module.named_buffers():
        assert buffer.is_contiguous(), name


IN_PLACE = {"relu_": torch.relu, "mul_": lambda x: 2 * x, "zero_": lambda x: 0 * x}


@every_setting
@pytest.mark.parametrize("operation", IN_PLACE)
def test_an_operation_in_place_may_follow_a_module(setting, operation):
    module, results = make(setting), []
    for follow in (IN_PLACE[operation], lambda output: getattr(output, operation)(*[2] * (operation == "mul_"))):
        leaves = [tensor.clone().requires_grad_() for tensor in maps(setting)]
        output = follow(module(*leaves))
        wanted = [*leaves, *module.parameters()]
        gradients = torch.autograd.grad(output.sum(), wanted, allow_unused=True, materialize_grads=True)
        results.append([output.detach(), *gradients])
        assert all(torch.equal(leaf, tensor) for leaf, tensor in zip(leaves, maps(setting)))
    for actual, expected in zip(*results):
        assert_close(actual, expected, 1e-12, scale=max(1.0, expected.abs().max().item()))


@every_setting
@pytest.mark.parametrize("changed", [0, 1], ids=["guide", "x"])
def test_an_input_changed_in_place_is_torchs_own_error_or_does_not_matter(setting, changed):
    module = make(setting)
    leaves = [tensor.requires_grad_() for tensor in maps(setting)]
    wanted = [leaves[1], *module.parameters()]
    expected = torch.autograd.grad(module(*leaves).square().sum(), wanted)
    given = [leaf * 1 for leaf in leaves]
    output = module(*given)
    with torch.no_grad():
        given[changed].add_(1)
    try:
        gradients = torch.autograd.grad(output.square().sum(), wanted)
    except RuntimeError as error:
        assert "modified by an inplace operation" in str(error)
    else:
        for actual, other in zip(gradients, expected):
            assert_close(actual, other, 1e-12, scale=max(1.0, other.abs().max().item()))


def run_in_two_processes(folder, body: str) -> None:
    script = folder / "parallel.py"
    script.write_text(textwrap.dedent("""
        import os
        import warnings
        warnings.simplefilter("error")
        import torch
        import torch.distributed as dist
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import fully_shard
        from torch.nn.parallel import DistributedDataParallel
        from module_parallel_test import TRAINED, make, maps, step
        torch.set_warn_always(True)
        torch.set_num_threads(1)
        dist.init_process_group("gloo")
        assert dist.get_world_size() == 2
        """) + textwrap.dedent(body) + textwrap.dedent("""
        dist.barrier()
        dist.destroy_process_group()
        os._exit(0)  # not by Python's finalization, where threads of gloo may be left: a process once aborted
        """))
    two_processes(str(script))


def test_two_processes_share_gradients_in_both_layouts_without_a_warning(tmp_path):
    run_in_two_processes(tmp_path, """
        for setting in TRAINED:
            for layout in (torch.contiguous_format, torch.channels_last):
                module = make(setting).to(memory_format=layout)
                given = [tensor.contiguous(memory_format=layout) for tensor in maps(setting)]
                expected = {name: gradient.clone() for name, gradient in step(module, module, given).items()}
                # A module's only buffer, in channels_last, torch (2.11) cannot broadcast: it copies it onto itself.
                broadcast = layout is torch.contiguous_format
                parallel = DistributedDataParallel(module, broadcast_buffers=broadcast)
                for _ in range(2):
                    for name, gradient in step(parallel, module, given).items():
                        torch.testing.assert_close(gradient, expected[name], rtol=1e-9, atol=1e-9, msg=setting + name)
        """)


def test_any_layer_of_a_module_may_be_sharded(tmp_path):
    run_in_two_processes(tmp_path, """
        mesh = init_device_mesh("cpu", (2,))
        for setting in TRAINED:
            if ", " in setting and setting != "LCTC, channels apart":
                continue
            plain = make(setting)
            expected = {name: gradient.clone() for name, gradient in step(plain, plain, maps(setting)).items()}
            for layer, found in plain.named_modules():
                if not list(found.parameters()):
                    continue
                module = make(setting)
                fully_shard(module.get_submodule(layer), mesh=mesh)
                if layer:
                    fully_shard(module, mesh=mesh)
                for _ in range(2):
                    for name, gradient in step(module, module, maps(setting)).items():
                        whole = gradient.full_tensor()
                        torch.testing.assert_close(
                            whole, expected[name], rtol=1e-8, atol=1e-8, msg=f"{setting}: {layer}: {name}"
                        )
        """)
