"""What docs/guided-filter.md says about calls of OpenCV's and kornia's guided filters, against what these returned, and
the mirrored borders that they have. `make_elsewhere.py` made the data."""

import json
from pathlib import Path

import numpy
import pytest
import torch
import torch.nn.functional as F
import upwell
from torch import Tensor

from compare import assert_close
from problems import random
from reference.composition import mirrored

with numpy.load(Path(__file__).parent / "guided_filter_elsewhere.npz") as file:
    ARRAYS = dict(file)
CALLS = json.loads(ARRAYS["calls"].tobytes())
OPENCV, KORNIA = ([call for call in CALLS if call["library"] == library] for library in ("opencv", "kornia"))
SINGLE = 1e-4  # OpenCV and kornia find a variance as a difference of means, of float32 in float32


def describe(call: dict) -> str:
    names = ("radius", "kernel_size", "eps", "scale", "subsample")
    dtypes = "/".join(ARRAYS[call[name]].dtype.name for name in ("guide", "input", "output"))
    return " ".join([dtypes, *(f"{name}={call[name]}" for name in names if name in call)])


def maps_of(call: dict, *names: str) -> list[Tensor]:
    """[1, C, H, W] each."""
    arrays = [ARRAYS[call[name]] for name in names]
    if call["library"] == "opencv":
        arrays = [array.reshape(*array.shape[:2], -1).transpose(2, 0, 1) for array in arrays]
    return [torch.from_numpy(array.astype("float64"))[None] for array in arrays]


def grey(guide: Tensor, input: Tensor) -> Tensor:
    """The one channel of guide for each of input."""
    return guide.expand_as(input)


def is_of_blocks(call: dict) -> bool:
    return all(
        torch.equal(x, F.interpolate(x[..., :: call["scale"], :: call["scale"]], x.shape[2:]))
        for x in maps_of(call, "guide", "input")
    )


@pytest.mark.parametrize("call", [call for call in OPENCV if is_of_blocks(call)], ids=describe)
def test_a_call_of_opencv_is_radius_times_scale_and_a_border_that_repeats_the_edge(call):
    guide, input, output = maps_of(call, "guide", "input", "output")
    R, s, eps = call["radius"], call["scale"], call["eps"]
    unit = numpy.iinfo(ARRAYS[call["guide"]].dtype).max if eps > 1 else 1  # eps is in squares of the guide's unit
    actual = upwell.ops.guided_filter(grey(guide / unit, input), input, R * s, eps / unit**2, s, border="symmetric")
    rounded = ARRAYS[call["output"]].dtype == numpy.uint8
    assert_close(actual, output, 0.501 if rounded else SINGLE, "output", 1 if rounded else None)


@pytest.mark.parametrize("call", [call for call in OPENCV if not is_of_blocks(call)], ids=describe)
def test_an_odd_scale_of_opencv_reads_the_middle_of_blocks(call):
    """Maps that begin there, centred, are the same filter from there on."""
    s = call["scale"]
    middle = (s - 1) // 2
    guide, input, output = (x[..., middle:, middle:] for x in maps_of(call, "guide", "input", "output"))
    # The cut may not cost the last sample.
    guide, input = (F.pad(x, (0, middle, 0, middle)) for x in (guide, input))
    actual = upwell.ops.guided_filter(guide, input, call["radius"] * s, call["eps"], s, True, "symmetric")
    assert_close(actual[..., : output.shape[2], : output.shape[3]], output, SINGLE)


@pytest.mark.parametrize("call", KORNIA, ids=describe)
def test_a_call_of_kornia_is_half_its_kernel_and_its_reflection(call):
    guide, input, output = maps_of(call, "guide", "input", "output")
    options = (radius_of(call), call["eps"], call["subsample"])
    actual = upwell.ops.guided_filter(grey(guide, input), input, *options, border="reflect")
    assert_close(actual, output, 1e-10 if ARRAYS[call["output"]].dtype == numpy.float64 else SINGLE)


def radius_of(call: dict) -> int:
    return call["radius"] if "radius" in call else (call["kernel_size"] - 1) // 2


def has_an_inside(call: dict) -> bool:
    full_size = call.get("scale", 1) == call.get("subsample", 1) == 1
    return full_size and 4 * radius_of(call) < min(maps_of(call, "output")[0].shape[2:])


@pytest.mark.parametrize("call", [call for call in CALLS if has_an_inside(call)], ids=describe)
def test_two_radii_inside_the_image_borders_make_no_difference(call):
    guide, input, output = maps_of(call, "guide", "input", "output")
    R = radius_of(call)
    actual = upwell.ops.guided_filter(grey(guide, input), input, R, call["eps"])
    inside = (..., slice(2 * R, output.shape[2] - 2 * R), slice(2 * R, output.shape[3] - 2 * R))
    rounded = ARRAYS[call["output"]].dtype == numpy.uint8
    assert_close(actual[inside], output[inside], 0.501 if rounded else SINGLE, "output", 1 if rounded else None)


def test_the_first_column_has_twelfths_inside_and_ninths_in_a_mirror():
    """Where the guide is flat, the filter is the mean of means."""
    input = torch.zeros(1, 1, 9, 9, dtype=torch.float64)
    input[..., 0] = 1
    flat = torch.zeros_like(input)
    for border, first in (("inside", 5 / 12), ("symmetric", 5 / 9), ("reflect", 3 / 9)):
        output = upwell.ops.guided_filter(flat, input, 1, 1e-2, border=border)
        assert output[0, 0, 4, 0].item() == pytest.approx(first, abs=1e-12), border


@pytest.mark.parametrize("border", ["reflect", "symmetric"])
@pytest.mark.parametrize("radius", [1, 3, 30], ids="radius {}".format)
def test_at_full_size_a_mirrored_border_is_that_of_maps_extended_by_two_radii(radius, border):
    guide, input, d_output = (random((2, 3, 9, 14), torch.float64, i) for i in range(3))
    rows, columns = (mirrored(length, 2 * radius, border) for length in guide.shape[2:])

    def extended(guide, input):
        maps = (x[:, :, rows][..., columns] for x in (guide, input))
        output = upwell.ops.guided_filter(*maps, radius, 1e-2)
        return output[..., 2 * radius : -2 * radius, 2 * radius : -2 * radius]

    def with_gradients(call):
        leaves = [x.clone().requires_grad_() for x in (guide, input)]
        output = call(*leaves)
        return [output, *torch.autograd.grad(output, leaves, d_output)]

    actual = with_gradients(upwell.nn.guided_filter.GuidedFilter(radius, 1e-2, 3, border=border))
    for result, expected in zip(actual, with_gradients(extended), strict=True):
        assert_close(result, expected, 1e-10)


def test_a_box_of_one_sample_has_no_border():
    guide, input = (random((1, 2, 7, 8), torch.float32, i) for i in range(2))
    inside = upwell.ops.guided_filter(guide, input, 2, 1e-2, 3)
    for border in ("reflect", "symmetric"):
        assert torch.equal(upwell.ops.guided_filter(guide, input, 2, 1e-2, 3, border=border), inside)


def test_calls_without_a_border_keep_their_meaning():
    """Of the operator, also of what was exported before it had one."""
    guide, input = (random((1, 2, 7, 8), torch.float32, i) for i in range(2))
    filtered = torch.ops.upwell.guided_filter(guide, input, 2, 1e-2, 1, False)
    assert torch.equal(filtered, upwell.ops.guided_filter(guide, input, 2, 1e-2, border="inside"))
    old = torch.ops.upwell.guided_filter_backward(guide, guide, input, 2, 1e-2, 1, False)
    new = torch.ops.upwell.guided_filter_backward(guide, guide, input, 2, 1e-2, 1, False, "inside")
    assert all(torch.equal(a, b) for a, b in zip(old, new, strict=True))


def test_the_module_refuses_a_border_that_there_is_not():
    with pytest.raises(ValueError, match="GuidedFilter: border should be .*'symmetric' but is 'zero'"):
        upwell.nn.guided_filter.GuidedFilter(2, 1e-2, 3, border="zero")


def test_a_border_beyond_what_kernels_can_index_is_refused():
    guide = torch.zeros(1, 1, 8, 8)
    with pytest.raises(RuntimeError, match="guided_filter: guide with its border should have at most 2147483647"):
        upwell.ops.guided_filter(guide, guide, 100_000, border="reflect")


@pytest.mark.parametrize("border", ["inside", "reflect", "symmetric"])
def test_autocast_filters_in_float32(border):
    guide, input = (random((1, 2, 7, 8), torch.bfloat16, i) for i in range(2))
    with torch.autocast("cpu", torch.bfloat16):
        output = upwell.ops.guided_filter(guide, input, 2, border=border)
    assert torch.equal(output, upwell.ops.guided_filter(guide.float(), input.float(), 2, border=border))
