"""The published closed form of weighted reverse convolution against torch operations in float64."""

import random as python_random

import pytest
import torch
import upwell
from torch import Tensor
from torch.library import opcheck

from bad_input_test import refused
from compare import assert_close
from half_test import ulps_apart
from problems import LAYOUTS, random
from reference import wrc
from resfu_draws import assert_all_close, with_gradients

SIDES = (1, 2, 3, 5, 8, 17, 33)
HIGHEST = {torch.float64: 1e-9, torch.float32: 1e-4}


def problem(
    n: int, channels: int, low: tuple[int, int], scale: int, kernel: tuple[int, int], dtype: torch.dtype = torch.float64
) -> list[Tensor]:
    """precision, weighted, data_weight, data, weight."""
    high = tuple(scale * side for side in low)
    precision = 1.05 + 0.95 * random((n, channels, *high), dtype, 0).tanh()
    data_weight = random((n, channels, *low), dtype, 2).square().log1p()
    maps = random((n, channels, *high), dtype, 1), random((n, channels, *low), dtype, 3)
    return [precision, maps[0], data_weight, maps[1], random((channels, *kernel), dtype, 4)]


def draw(seed: int, dtype: torch.dtype) -> tuple[list[Tensor], int, str]:
    """Tensors, scale, centre."""
    numbers = python_random.Random(seed)
    scale, low = numbers.randint(1, 4), (numbers.choice(SIDES), numbers.choice(SIDES))
    kernel = tuple(numbers.randint(1, min(5, scale * side)) for side in low)
    tensors = problem(numbers.randint(1, 2), numbers.choice((1, 3, 5)), low, scale, kernel, dtype)
    return tensors, scale, numbers.choice(("image", "kernel"))


def compare(tensors: list[Tensor], scale: int, centre: str, tolerance: float) -> None:
    actual = with_gradients(lambda given: upwell.ops.wrc_spectral(*given, scale, centre), tensors)
    exact = [tensor.double().contiguous() for tensor in tensors]
    expected = with_gradients(lambda given: wrc.spectral(*given, scale, centre), exact)
    what = f"{list(tensors[3].shape)} scale {scale} kernel {list(tensors[4].shape)} {centre}"
    assert_all_close(actual, expected, tolerance, what)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
def test_the_solver_and_its_gradients_are_the_reference(dtype, seed):
    for i in range(12):
        compare(*draw(100 * seed + i, dtype), HIGHEST[dtype])


@pytest.mark.parametrize("centre", ["image", "kernel"])
@pytest.mark.parametrize("scale", [1, 2, 3, 4])
def test_every_scale_and_centre(scale, centre):
    compare(problem(2, 3, (5, 6), scale, (3, 3)), scale, centre, 1e-9)
    compare(problem(1, 2, (1, 7), scale, (1, 4)), scale, centre, 1e-9)
    compare(problem(1, 2, (4, 1), scale, (scale, scale)), scale, centre, 1e-9)


def test_maps_of_several_chunks():
    """More planes than are transformed at a time."""
    compare(problem(1, 18, (96, 160), 2, (3, 3)), 2, "image", 1e-9)


def test_a_kernel_as_large_as_the_image():
    compare(problem(1, 2, (3, 2), 2, (6, 4)), 2, "image", 1e-9)
    compare(problem(1, 2, (3, 2), 2, (6, 4)), 2, "kernel", 1e-9)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_memory_layout(layout):
    tensors = problem(2, 3, (5, 4), 2, (3, 3))
    given = [LAYOUTS[layout](t) if t.dim() == 4 else t.repeat_interleave(2, -1)[..., ::2] for t in tensors]
    compare(given, 2, "image", 1e-9)


def test_a_batch_of_none_gives_nothing_and_gradients_of_zero():
    *maps, weight = problem(2, 3, (4, 5), 2, (3, 3), torch.float32)
    tensors = [*(tensor[:0] for tensor in maps), weight]
    output, *gradients = with_gradients(lambda given: upwell.ops.wrc_spectral(*given, 2), tensors)
    assert output.shape == (0, 3, 8, 10)
    for tensor, gradient in zip(tensors, gradients, strict=True):
        assert gradient.shape == tensor.shape and not gradient.any()


@pytest.mark.parametrize("scale, centre", [(1, "image"), (2, "image"), (3, "kernel")])
def test_gradients_pass_gradcheck_in_float64(scale, centre):
    leaves = [t.requires_grad_() for t in problem(1, 2, (2, 3), scale, (2, 1))]
    assert torch.autograd.gradcheck(lambda *given: upwell.ops.wrc_spectral(*given, scale, centre), leaves)


def test_opcheck_passes():
    ops = torch.ops.upwell
    tensors = problem(2, 3, (4, 5), 2, (3, 3))
    opcheck(ops.wrc_spectral.default, [t.clone().requires_grad_() for t in tensors], {"scale": 2})
    opcheck(ops.wrc_spectral_forward.default, (*tensors, 2, "image"))
    output, spectrum = ops.wrc_spectral_forward(*tensors, 2, "image")
    precision, _, *rest = tensors
    opcheck(ops.wrc_spectral_backward.default, (torch.randn_like(output), spectrum, precision, *rest, 2, "image"))


def test_compiled_whole():
    tensors = problem(1, 2, (4, 5), 2, (3, 3), torch.float32)

    def twice(*given):
        return 2 * upwell.ops.wrc_spectral(*given, 2, "kernel")

    compiled = torch.compile(twice, fullgraph=True, backend="aot_eager")
    actual, expected = (with_gradients(lambda given: call(*given), tensors) for call in (compiled, twice))
    assert_all_close(actual, expected, 1e-6, "compiled")


def with_each_number_of_threads(call) -> list[list[Tensor]]:
    results = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        results.append(call())
    return results


def transforms(maps: Tensor) -> list[Tensor]:
    """Torch's own, there and back."""
    spectra = torch.fft.rfft2(maps.flatten(0, 1))
    return [torch.view_as_real(spectra), torch.fft.irfft2(spectra, maps.shape[2:])]


@pytest.mark.parametrize("seed", range(4))
def test_one_thread_and_two_give_the_same_bits(seed):
    tensors, scale, centre = draw(seed, torch.float32)
    results = with_each_number_of_threads(
        lambda: with_gradients(lambda given: upwell.ops.wrc_spectral(*given, scale, centre), tensors)
    )
    assert_all_close(*results, 1e-5, "two threads")
    for maps in (tensors[0], tensors[3]):
        by_torch = with_each_number_of_threads(lambda: transforms(maps))
        if not all(torch.equal(a, b) for a, b in zip(*by_torch, strict=True)):
            pytest.skip(f"torch's own Fourier transforms of {list(maps.shape)} differ in bits here")
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_16_bits_are_computed_in_float32(dtype):
    tensors = [tensor.to(dtype) for tensor in problem(2, 3, (4, 5), 2, (3, 3), torch.float32)]

    def run(given):
        return with_gradients(lambda leaves: upwell.ops.wrc_spectral(*leaves, 2), given)

    for actual, wide in zip(run(tensors), run([tensor.float() for tensor in tensors]), strict=True):
        assert actual.dtype == dtype
        assert_close(actual, wide, torch.finfo(dtype).eps)
    output = upwell.ops.wrc_spectral(*tensors, 2)
    assert ulps_apart(output, upwell.ops.wrc_spectral(*(tensor.float() for tensor in tensors), 2).to(dtype)) <= 1


def test_autocast_keeps_float32():
    tensors = problem(1, 2, (4, 5), 2, (3, 3), torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        result = upwell.ops.wrc_spectral(*(tensor.bfloat16() for tensor in tensors), 2)
    assert result.dtype == torch.float32


def test_a_wrong_call_is_refused():
    names = ("precision", "weighted", "data_weight", "data", "weight")
    right = dict(zip(names, problem(2, 3, (4, 5), 2, (3, 3), torch.float32), strict=True))

    def call(scale=2, centre="image", **changed):
        return upwell.ops.wrc_spectral(**{**right, **changed}, scale=scale, centre=centre)

    call()
    with refused("wrc_spectral: scale should be in 1 .. 2147483646 but is 0"):
        call(scale=0)
    with refused("wrc_spectral: centre should be 'image' or 'kernel' but is 'middle'"):
        call(centre="middle")
    with refused("wrc_spectral: precision should be [2, 3, 12, 15] but is [2, 3, 8, 10]"):
        call(scale=3)
    with refused("wrc_spectral: weighted should be [2, 3, 8, 10] but is [2, 3, 8, 9]"):
        call(weighted=right["weighted"][..., 1:])
    with refused("wrc_spectral: data_weight should be [2, 3, 4, 5] but is [2, 3, 4, 4]"):
        call(data_weight=right["data_weight"][..., 1:])
    with refused("wrc_spectral: weight should be [3, 3, 3] but is [2, 3, 3]"):
        call(weight=right["weight"][1:])
    with refused("wrc_spectral: weight should have 3 dimensions", "[3, 3]"):
        call(weight=right["weight"][0])
    with refused("wrc_spectral: weight should have at least one element", "[3, 3, 0]"):
        call(weight=right["weight"][..., :0])
    with refused("wrc_spectral: weight should be no larger than the 8 x 10 pixels", "[3, 9, 3]"):
        call(weight=torch.zeros(3, 9, 3))
    for name in names:
        with refused(f"wrc_spectral: {name}"):
            call(**{name: right[name][0, 0]})
        if name != "precision":
            with refused(f"wrc_spectral: {name} should be Float like precision but is Double"):
                call(**{name: right[name].double()})


@pytest.mark.parametrize("n, channels", [(1, 3), (2, 1), (2, 3)])
def test_a_weight_may_lie_in_memory_in_any_way(n, channels):
    low, high = (n, channels, 3, 4), (n, channels, 6, 8)
    maps = [random(high, torch.float64, 1).abs() + 0.1, random(high, torch.float64, 2)]
    maps += [random(low, torch.float64, 3).abs(), random(low, torch.float64, 4)]
    weight = random((channels, 3, 3), torch.float64, 5)
    cotangent = random(high, torch.float64, 6)
    results = []
    for taps in (weight, weight.mT.contiguous().mT, torch.stack([weight, weight], -1)[..., 0]):
        taps = taps.detach().requires_grad_()
        output = upwell.ops.wrc_spectral(*maps, taps, 2)
        results.append((output, *torch.autograd.grad(output, taps, cotangent)))
    for other in results[1:]:
        for actual, expected in zip(other, results[0]):
            assert torch.equal(actual, expected)


@pytest.mark.parametrize("name", ["wrc_spectral", "wrc_exact"])
def test_the_weight_may_still_be_called_kernel_and_a_warning_says_what_it_is_called_now(name):
    solve = getattr(upwell.ops, name)
    low, high = (1, 2, 3, 4), (1, 2, 6, 8)
    maps = [random(high, torch.float64, 1).abs() + 0.1, random(high, torch.float64, 2)]
    maps += [random(low, torch.float64, 3).abs(), random(low, torch.float64, 4)]
    weight = random((2, 3, 3), torch.float64, 5)
    with pytest.warns(DeprecationWarning, match=f"{name}: kernel is called weight now"):
        output = solve(*maps, kernel=weight, scale=2)
    assert torch.equal(output, solve(*maps, weight, 2))
    with pytest.raises(TypeError, match="kernel"):
        solve(*maps, weight=weight, kernel=weight, scale=2)
