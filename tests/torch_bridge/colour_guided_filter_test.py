"""The guided filter with a colour guide against its composition of torch operators and against what OpenCV and kornia
returned (`make_colour_elsewhere.py` made the data), and as a citizen of torch."""

import json
import math
import random as python_random
from pathlib import Path

import numpy
import pytest
import torch
import upwell
from torch.library import opcheck

from bad_input_test import refused, zeros
from compare import assert_close
from problems import LAYOUTS, random
from reference import composition
from resfu_draws import Call, assert_all_close, colour_guided_filter, with_gradients


with numpy.load(Path(__file__).parent / "colour_guided_filter_elsewhere.npz") as file:
    ARRAYS = dict(file)
ELSEWHERE = json.loads(ARRAYS["calls"].tobytes())


def describe(call: dict) -> str:
    dtype = ARRAYS[call["output"]].dtype.name
    return f"{call['library']} {dtype} radius={call['radius']} eps={call['eps']} scale={call['scale']}"


@pytest.mark.parametrize("call", ELSEWHERE, ids=describe)
def test_a_call_of_opencv_or_kornia_is_what_the_documentation_says(call):
    guide, input, output = (
        torch.from_numpy(ARRAYS[call[name]].astype("float64"))[None] for name in ("guide", "input", "output")
    )
    in_opencv = call["library"] == "opencv"
    radius = call["radius"] * call["scale"] if in_opencv else call["radius"]
    border = "symmetric" if in_opencv else "reflect"
    actual = upwell.ops.colour_guided_filter(guide, input, radius, call["eps"], call["scale"], border=border)
    assert_close(actual, output, 1e-10 if ARRAYS[call["output"]].dtype == numpy.float64 else 1e-5)


def draws(seed: int, count: int) -> list[Call]:
    draw = python_random.Random(f"colour {seed}")
    return [colour_guided_filter(draw) for _ in range(count)]


def compare(call: Call, tensors: list[torch.Tensor], tolerance: float) -> None:
    actual = with_gradients(lambda given: call.run(upwell.ops, given), tensors)
    exact = [tensor.double().contiguous() for tensor in tensors]
    expected = with_gradients(lambda given: call.run(composition, given), exact)
    assert_all_close(actual, expected, tolerance, str(call))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    "dtype, tolerance", [(torch.float64, 1e-9), (torch.float32, 1e-4)], ids=["float64", "float32"]
)
def test_the_filter_and_its_gradients_equal_the_composition(dtype, tolerance, seed):
    for call in draws(seed, 12):
        if dtype == torch.float64 or call.has_variance:
            compare(call, call.tensors(dtype), tolerance)


@pytest.mark.parametrize("channels", [1, 9, 33])
def test_maps_wider_than_a_tile_and_higher_than_bands_equal_the_composition(channels):
    shapes = ((2, 3, 71, 137), (2, channels, 20, 40))
    for options in ({"radius": 5}, {"radius": 9, "scale": 2, "centred": True}):
        call = Call("colour_guided_filter", shapes, {"eps": 1e-2, **options}, (1, 1))
        compare(call, call.tensors(torch.float64), 1e-9)
        compare(call, call.tensors(torch.float32), 1e-4)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_filter_takes_every_memory_layout(layout):
    for call in draws(10, 2):
        compare(call, [LAYOUTS[layout](tensor) for tensor in call.tensors(torch.float64)], 1e-9)


@pytest.mark.parametrize("shapes", [((0, 3, 5, 6), (0, 4, 2, 3)), ((2, 3, 5, 6), (2, 0, 2, 3))], ids=str)
@pytest.mark.parametrize("border", ["inside", "reflect"])
def test_no_images_or_no_channels_give_nothing_and_gradients_of_zero(shapes, border):
    tensors = [random(shape, torch.float32, i) for i, shape in enumerate(shapes)]
    call = lambda given: upwell.ops.colour_guided_filter(*given, 2, border=border)  # noqa: E731
    output, *gradients = with_gradients(call, tensors)
    assert output.shape == (*shapes[1][:2], 5, 6)
    for tensor, gradient in zip(tensors, gradients, strict=True):
        assert gradient.shape == tensor.shape and not gradient.any()


@pytest.mark.parametrize("eps", [1e-2, 1e-5])
def test_three_channels_alike_are_a_grey_guide_at_a_third_of_eps(eps):
    """a . I is then 3 a_0 I_0. In float32 too, though S has two eigenvalues of eps beside one of a variance."""
    for dtype, tolerance in ((torch.float64, 1e-9), (torch.float32, 2e-4)):
        guide, input = random((2, 1, 30, 41), dtype, 1), random((2, 5, 30, 41), dtype, 2)
        output = upwell.ops.colour_guided_filter(guide.expand(-1, 3, -1, -1), input, 4, eps)
        grey = upwell.ops.guided_filter(guide.expand_as(input).double(), input.double(), 4, eps / 3)
        assert_close(output, grey, tolerance)


def test_what_is_linear_in_the_guide_passes_and_what_the_grey_filter_cannot_follow_too():
    guide = random((1, 3, 24, 31), torch.float64, 1)
    input = torch.stack([guide[:, 0] - 2 * guide[:, 1] + 0.5 * guide[:, 2] + 3, guide[:, 2] - guide[:, 0]], 1)
    assert_close(upwell.ops.colour_guided_filter(guide, input, 3, 1e-9), input, 1e-7)
    grey = upwell.ops.guided_filter(guide.mean(1, True).expand_as(input), input, 3, 1e-9)
    assert (grey - input).abs().max() > 0.5


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_a_guide_of_one_colour_makes_a_mean_of_means(dtype):
    guide = torch.tensor([0.3, 100.0, -7.0], dtype=dtype).view(1, 3, 1, 1).expand(2, 3, 19, 26)
    input = random((2, 4, 19, 26), dtype, 1)
    means = input.double()[None]
    for _ in range(2):
        means = composition.box_mean(means, 3)
    assert_close(upwell.ops.colour_guided_filter(guide, input, 3, 1e-6), means[0], 1e-5)


@pytest.mark.parametrize("radius, scale", [(4, 1), (8, 2), (40, 4)])
def test_the_filter_in_float32_survives_a_mean_of_1000_times_the_spread(radius, scale):
    tensors = [1000 + random(shape, torch.float32, 1) for shape in ((2, 3, 17, 23), (2, 5, 6, 9))]
    call = Call("colour_guided_filter", (), {"radius": radius, "scale": scale}, ())
    actual = with_gradients(lambda given: call.run(upwell.ops, given), tensors)
    expected = with_gradients(lambda given: call.run(composition, given), [t.double() for t in tensors])
    assert_close(actual[0] - 1000, expected[0] - 1000, 1e-3)
    assert_all_close(actual[1:], expected[1:], 1e-4, str(call))


CALLS = {
    "": (2, 1e-2, 1, False, "inside"),
    "subsampled": (3, 1e-2, 2, True, "inside"),
    "in mirrors": (2, 1e-2, 1, False, "reflect"),
    "in mirrors, subsampled": (3, 1e-2, 2, True, "symmetric"),
}
every_call = pytest.mark.parametrize("options", CALLS.values(), ids=CALLS)


def leaves(channels: int = 2) -> list[torch.Tensor]:
    return [random(s, torch.float64, i).requires_grad_() for i, s in enumerate(((2, 3, 5, 6), (2, channels, 2, 3)))]


@every_call
def test_opcheck_passes_on_the_filter_and_its_gradients(options):
    guide, input = leaves()
    d_output = random((2, 2, 5, 6), torch.float64, 3).requires_grad_()
    opcheck(torch.ops.upwell.colour_guided_filter.default, (guide, input, *options))
    opcheck(torch.ops.upwell.colour_guided_filter_d_input.default, (d_output, guide, 2, 3, *options))
    given = [tensor.detach() for tensor in (d_output, guide, input)]
    opcheck(torch.ops.upwell.colour_guided_filter_d_guide.default, (*given, *options))


@every_call
def test_gradients_pass_gradcheck_in_float64(options):
    assert torch.autograd.gradcheck(lambda *given: upwell.ops.colour_guided_filter(*given, *options), leaves())


def test_the_gradient_of_the_input_has_gradients_in_everything():
    guide, input = leaves()
    d_output = random((2, 2, 5, 6), torch.float64, 3).requires_grad_()

    def d_input(d_output, guide):
        output = upwell.ops.colour_guided_filter(guide, input, 2, 1e-2)
        return torch.autograd.grad(output, input, d_output, create_graph=True)[0]

    assert torch.autograd.gradcheck(d_input, (d_output, guide))


def test_the_gradient_of_the_guide_has_gradients_in_everything():
    guide, input = leaves()
    assert torch.autograd.gradgradcheck(lambda *given: upwell.ops.colour_guided_filter(*given, 2, 1e-2), (guide, input))


def test_a_guide_without_gradient_asks_for_none():
    guide, input = leaves()
    with torch.profiler.profile() as profile:
        upwell.ops.colour_guided_filter(guide.detach(), input, 2, 1e-2).sum().backward()
    seen = {event.name for event in profile.events()}
    assert "upwell::colour_guided_filter_d_input" in seen and "upwell::colour_guided_filter_d_guide" not in seen


def test_torch_compile_traces_it_in_one_graph_forward_and_backward():
    torch._dynamo.reset()
    call = lambda given: upwell.ops.colour_guided_filter(*given, 3, 1e-2, 2)  # noqa: E731
    compiled = torch.compile(call, fullgraph=True, backend="aot_eager")
    results = [with_gradients(c, leaves()) for c in (call, compiled)]
    for expected, actual in zip(*results):
        torch.testing.assert_close(actual, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("border", ["inside", "symmetric"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_results_are_the_same_bits_for_any_number_of_threads(dtype, border):
    maps = [random(shape, dtype, 0) for shape in ((2, 3, 96, 100), (2, 19, 24, 25))]
    call = lambda given: upwell.ops.colour_guided_filter(*given, 8, 1e-3, 2, border=border)  # noqa: E731
    results = []
    for threads in (1, 2, 1):
        torch.set_num_threads(threads)
        results.append(with_gradients(call, maps))
    for others in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], others, strict=True))


@pytest.mark.parametrize("border", ["inside", "reflect", "symmetric"])
def test_autocast_filters_in_float32(border):
    guide, input = (random(shape, torch.bfloat16, 0) for shape in ((1, 3, 7, 8), (1, 2, 7, 8)))
    with torch.autocast("cpu", torch.bfloat16):
        output = upwell.ops.colour_guided_filter(guide, input, 2, border=border)
    assert torch.equal(output, upwell.ops.colour_guided_filter(guide.float(), input.float(), 2, border=border))


def test_a_tensor_without_data_becomes_one_of_the_right_shape():
    guide, input = torch.empty(2, 3, 9, 8, device="meta"), torch.empty(2, 5, 3, 4, device="meta")
    output = upwell.ops.colour_guided_filter(guide, input, 2)
    assert output.device.type == "meta" and output.shape == (2, 5, 9, 8)


def test_the_module_is_the_operator():
    guide, input = (random(shape, torch.float64, 0) for shape in ((2, 3, 9, 8), (2, 5, 3, 4)))
    module = upwell.nn.ColourGuidedFilter(4, 1e-2, 2, True, "reflect")
    assert torch.equal(module(guide, input), upwell.ops.colour_guided_filter(guide, input, 4, 1e-2, 2, True, "reflect"))


@pytest.mark.parametrize(
    "shapes, words",
    [
        (((2, 4, 6, 5), (2, 8, 3, 4)), ("guide should be [2, 3, 6, 5]", "is [2, 4, 6, 5]")),
        (((2, 1, 6, 5), (2, 8, 3, 4)), ("guide should be [2, 3, 6, 5]",)),
        (((2, 3, 6, 5), (3, 8, 3, 4)), ("input should be [2, 8, 3, 4]", "is [3, 8, 3, 4]")),
        (((2, 3, 6), (2, 8, 3, 4)), ("guide should",)),
        (((2, 3, 0, 5), (2, 8, 3, 4)), ("guide should",)),
        (((2, 3, 6, 5), (2, 8, 3, 0)), ("input should",)),
    ],
)
def test_maps_that_do_not_fit_are_refused(shapes, words):
    with refused("colour_guided_filter: ", *words):
        upwell.ops.colour_guided_filter(*(zeros(*shape) for shape in shapes), 2)


@pytest.mark.parametrize(
    "name, value",
    [
        *[("radius", radius) for radius in (-1, 2**31)],
        *[("eps", eps) for eps in (math.nan, math.inf, -1e-3, 0.0)],
        *[("scale", scale) for scale in (0, -2, 2**31)],
        *[("border", border) for border in ("zero", "Reflect", "")],
    ],
)
def test_an_option_that_makes_no_sense_is_refused(name, value):
    with refused(f"colour_guided_filter: {name} should", "but is"):
        upwell.ops.colour_guided_filter(zeros(2, 3, 6, 5), zeros(2, 8, 3, 4), **{"radius": 2, name: value})


@pytest.mark.parametrize("options", [{"radius": -1}, {"eps": 0.0}, {"scale": 0}, {"border": "zero"}], ids=str)
def test_the_module_refuses_options_that_make_no_sense(options):
    with pytest.raises(ValueError, match=f"ColourGuidedFilter: {next(iter(options))} should be .* but is"):
        upwell.nn.ColourGuidedFilter(**{"radius": 2, "eps": 1e-2, **options})


def test_two_dtypes_are_refused():
    with refused("colour_guided_filter: input should be Float like guide but is Double"):
        upwell.ops.colour_guided_filter(zeros(1, 3, 6, 5), zeros(1, 2, 6, 5).double(), 2)


def test_a_border_beyond_what_kernels_can_index_is_refused():
    guide, input = torch.zeros(1, 3, 8, 8), torch.zeros(1, 2, 8, 8)
    with pytest.raises(RuntimeError, match="colour_guided_filter: guide with its border should have at most 2147483647"):
        upwell.ops.colour_guided_filter(guide, input, 100_000, border="reflect")
