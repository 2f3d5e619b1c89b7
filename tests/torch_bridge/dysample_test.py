"""Samples at learned offsets, and DySample, which is made of them."""

import itertools

import pytest
import torch
import torch.nn.functional as F
import upwell

from compare import assert_close
from problems import channels_last, random
from reference import formula, upsamplers

CLOSE = {torch.float32: 1e-4, torch.float64: 1e-11}
both_dtypes = pytest.mark.parametrize("dtype", CLOSE, ids=str)
both_layouts = pytest.mark.parametrize("high_res", [False, True], ids=["low-res", "high-res"])
both_styles = pytest.mark.parametrize("style", ["lp", "pl"])
# N, groups, channels of a group, h, w, scale, and how far offsets reach.
SHAPES = [
    *((1, 1, 1, 1, 1, 1, 2), (2, 2, 3, 1, 1, 3, 2), (1, 4, 2, 1, 7, 2, 2), (2, 1, 5, 9, 1, 4, 2), (2, 4, 8, 6, 5, 2, 1)),
    *((1, 2, 17, 5, 9, 3, 50), (3, 3, 1, 4, 4, 5, 0.3), (1, 1, 40, 12, 35, 2, 1), (1, 2, 2, 3, 2, 16, 1)),
]


def tensors(shape, high_res: bool, dtype: torch.dtype = torch.float64) -> list[torch.Tensor]:
    N, G, C, h, w, scale, reach = shape
    places = (N, 2 * G, scale * h, scale * w) if high_res else (N, 2 * G * scale**2, h, w)
    return [random((N, G * C, h, w), dtype, 1), reach * random(places, dtype, 2)]


def results(call, given: list[torch.Tensor]) -> list[torch.Tensor]:
    """The output, then the gradient of each tensor."""
    leaves = [tensor.detach().requires_grad_() for tensor in given]
    output = call(*leaves)
    output.backward(random(tuple(output.shape), output.dtype, 9))
    return [output.detach(), *(leaf.grad for leaf in leaves)]


def by_grid_sample(value, offsets, scale, groups, high_res):
    N, C, h, w = value.shape
    planes = offsets if high_res else F.pixel_shuffle(offsets, scale)
    x, y = planes.reshape(N, 2, groups, scale * h, scale * w).unbind(1)
    rows, columns = (torch.arange(scale * length, dtype=value.dtype).div(scale, rounding_mode="floor") for length in (h, w))
    grid = torch.stack([(2 * (columns + x) + 1) / w - 1, (2 * (rows[:, None] + y) + 1) / h - 1], -1).flatten(0, 1)
    cells = value.reshape(N * groups, C // groups, h, w)
    sampled = F.grid_sample(cells, grid, padding_mode="border", align_corners=False)
    return sampled.reshape(N, C, scale * h, scale * w)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@both_layouts
@both_dtypes
def test_samples_and_their_gradients_are_those_of_grid_sample(shape, high_res, dtype):
    given = tensors(shape, high_res, dtype)
    options = (shape[5], shape[1], high_res)
    actual = results(lambda *t: upwell.ops.sample_at_offsets(*t, *options), given)
    wide = [tensor.double() for tensor in given]
    for reference in (by_grid_sample, formula.sample_at_offsets):
        expected = results(lambda *t: reference(*t, *options), wide)
        for a, e in zip(actual, expected):
            assert_close(a, e, CLOSE[dtype], scale=max(1.0, e.abs().max().item()))


@pytest.mark.parametrize("seed", range(12))
def test_samples_at_random_shapes_are_those_of_grid_sample(seed):
    torch.manual_seed(seed)
    draw = lambda most: int(torch.randint(1, most + 1, ()))  # noqa: E731
    shape = (draw(3), draw(4), draw(20), draw(12), draw(40), draw(5), 2.0)
    for high_res in (False, True):
        options = (shape[5], shape[1], high_res)
        given = tensors(shape, high_res)
        actual = results(lambda *t: upwell.ops.sample_at_offsets(*t, *options), given)
        for a, e in zip(actual, results(lambda *t: by_grid_sample(*t, *options), given)):
            assert_close(a, e, 1e-11, scale=max(1.0, e.abs().max().item()))


@both_dtypes
def test_both_layouts_of_offsets_are_the_same_bits(dtype):
    shape = (2, 2, 3, 5, 6, 3, 1.0)
    value, offsets = tensors(shape, False, dtype)
    low = results(lambda *t: upwell.ops.sample_at_offsets(*t, 3, 2), [value, offsets])
    high = results(lambda *t: upwell.ops.sample_at_offsets(*t, 3, 2, True), [value, F.pixel_shuffle(offsets, 3)])
    assert torch.equal(low[0], high[0]) and torch.equal(low[1], high[1])
    assert torch.equal(F.pixel_shuffle(low[2], 3), high[2])


@both_layouts
def test_gradcheck(high_res):
    given = [tensor.requires_grad_() for tensor in tensors((1, 2, 3, 4, 5, 2, 1.0), high_res)]
    assert torch.autograd.gradcheck(lambda *t: upwell.ops.sample_at_offsets(*t, 2, 2, high_res), given)


@both_layouts
def test_the_same_bits_on_one_thread_and_on_two(high_res):
    given = tensors((2, 2, 24, 9, 21, 3, 1.0), high_res, torch.float32)
    threads = torch.get_num_threads()
    runs = []
    try:
        for count in (1, 2, 2):
            torch.set_num_threads(count)
            runs.append(results(lambda *t: upwell.ops.sample_at_offsets(*t, 3, 2, high_res), given))
    finally:
        torch.set_num_threads(threads)
    for run in runs[1:]:
        assert all(torch.equal(a, b) for a, b in zip(run, runs[0]))


@both_layouts
def test_any_strides(high_res):
    given = tensors((2, 2, 4, 5, 6, 2, 1.0), high_res)
    expected = results(lambda *t: upwell.ops.sample_at_offsets(*t, 2, 2, high_res), given)
    for layout in (channels_last, lambda t: t.transpose(2, 3).contiguous().transpose(2, 3)):
        actual = results(lambda *t: upwell.ops.sample_at_offsets(*t, 2, 2, high_res), [layout(t) for t in given])
        assert all(torch.equal(a, e) for a, e in zip(actual, expected))


@both_layouts
@pytest.mark.parametrize("N, C", [(0, 4), (2, 0)])
def test_nothing_to_sample(high_res, N, C):
    value, offsets = tensors((max(N, 1), 2, 2, 3, 4, 2, 1.0), high_res)
    given = [value.new_zeros(N, C, 3, 4), offsets[:1].expand(N, -1, -1, -1)]
    output, d_value, d_offsets = results(lambda *t: upwell.ops.sample_at_offsets(*t, 2, 2, high_res), given)
    assert output.shape == (N, C, 6, 8) and d_value.shape == (N, C, 3, 4) and not d_offsets.any()


@both_layouts
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_offsets_stay_in_float32_beside_16_bits(high_res, dtype):
    value, offsets = tensors((1, 2, 3, 4, 300, 2, 1.0), high_res, torch.float32)
    value = value.to(dtype)
    call = lambda *t: upwell.ops.sample_at_offsets(*t, 2, 2, high_res)  # noqa: E731
    output, d_value, d_offsets = results(call, [value, offsets])
    assert (output.dtype, d_value.dtype, d_offsets.dtype) == (dtype, dtype, torch.float32)
    assert torch.equal(output, call(value.float(), offsets).to(dtype))
    narrow = results(call, [value, offsets.to(dtype)])
    assert all(result.dtype == dtype for result in narrow)
    assert torch.equal(narrow[0], call(value.float(), offsets.to(dtype).float()).to(dtype))
    with torch.autocast("cpu", torch.bfloat16):
        assert call(value.float(), offsets).dtype == torch.float32


def test_infinite_offsets_are_borders_and_nans_stay_with_their_pixel():
    value, offsets = tensors((1, 1, 20, 4, 5, 2, 0.5), True)
    call = lambda *t: upwell.ops.sample_at_offsets(*t, 2, 1, True)  # noqa: E731
    usual = results(call, [value, offsets])
    for axis, odd in itertools.product((0, 1), (float("nan"), float("inf"), -float("inf"))):
        changed = offsets.clone()
        changed[0, axis, 3, 4] = odd
        output, d_value, d_offsets = results(call, [value, changed])
        rest = torch.ones(8, 10, dtype=torch.bool)
        rest[3, 4] = False
        assert torch.equal(output[..., rest], usual[0][..., rest]) and torch.equal(d_offsets[..., rest], usual[2][..., rest])
        assert d_offsets[0, axis, 3, 4] == 0
        if odd == odd:
            changed[0, axis, 3, 4] = 100.0 if odd > 0 else -100.0
            assert all(torch.equal(a, b) for a, b in zip((output, d_value, d_offsets), results(call, [value, changed])))
        else:
            assert output[..., 3, 4].isnan().all() and d_value.isnan().sum() == 4 * 20


def module(scale: int, style: str, groups: int, dyscope: bool, channels: int = 36) -> upwell.nn.DySample:
    """Its parameters far from their initial values."""
    made = upwell.nn.DySample(channels, scale, style, groups, dyscope).double()
    with torch.no_grad():
        for i, parameter in enumerate(made.parameters()):
            parameter.add_(random(parameter.shape, parameter.dtype, i), alpha=0.2)
    return made


@both_styles
@pytest.mark.parametrize("dyscope", [False, True], ids=["", "scope"])
@pytest.mark.parametrize("scale, groups", [(1, 1), (2, 4), (3, 2), (6, 12)])
@pytest.mark.parametrize("low", [(4, 5), (1, 1), (1, 7)], ids=str)
def test_dysample_is_the_published_module(style, dyscope, scale, groups, low):
    made = module(scale, style, groups, dyscope)
    x = random((2, 36, *low), torch.float64, 1)
    found = []
    for call in (made, lambda x: upsamplers.dysample(made, x)):
        made.zero_grad()
        found.append(results(call, [x]) + [parameter.grad for parameter in made.parameters()])
    for actual, expected in zip(*found):
        assert_close(actual, expected, 1e-10, scale=max(1.0, expected.abs().max().item()))
    assert_close(made(channels_last(x)), found[0][0], 1e-11)


@both_styles
def test_published_initial_values(style):
    torch.manual_seed(0)
    made = upwell.nn.DySample(256, 2, style, 4, True)
    assert made.offset.weight.std().item() == pytest.approx(0.001, rel=0.1) and not made.offset.bias.any()
    assert not made.scope.weight.any()
    assert list(made.state_dict()) == ["init_pos", "offset.weight", "offset.bias", "scope.weight"]
    quarter = torch.tensor([-0.25, 0.25])
    along_x, along_y = made.init_pos.reshape(2, 4, 2, 2)
    assert torch.equal(along_x, quarter.expand(4, 2, 2)) and torch.equal(along_y, quarter[:, None].expand(4, 2, 2))
    x = torch.randn(2, 256, 5, 7)
    with torch.no_grad():
        made.offset.weight.zero_()
    assert_close(made(x), F.interpolate(x, scale_factor=2, mode="bilinear"), 1e-5)


@both_styles
def test_dysample_takes_a_batch_of_none(style):
    made = module(2, style, 4, True)
    x = torch.zeros(0, 36, 3, 4, dtype=torch.float64, requires_grad=True)
    output = made(x)
    assert output.shape == (0, 36, 6, 8)
    output.sum().backward()
    assert x.grad.shape == x.shape and not made.offset.weight.grad.any()


@both_styles
def test_dysample_is_compiled_whole(style):
    torch._dynamo.reset()
    made = module(2, style, 4, True)
    compiled = torch.compile(made, fullgraph=True, dynamic=True, backend="aot_eager")
    for n, low in ((2, (4, 5)), (3, (6, 8))):
        x = random((n, 36, *low), torch.float64, 1)
        for actual, expected in zip(results(compiled, [x]), results(made, [x])):
            assert_close(actual, expected, 1e-12)


@pytest.mark.parametrize("channels, groups", [(1, 1), (2, 2), (3, 3), (5, 1), (8, 4), (9, 3), (14, 2)])
def test_make_takes_as_many_groups_as_divide_the_channels(channels, groups):
    made = upwell.nn.make("dysample", channels, 3, 2)
    assert made.upsampler.groups == groups
    assert made(torch.randn(1, 3, 6, 8), torch.randn(1, channels, 3, 4)).shape == (1, channels, 6, 8)
    assert upwell.nn.make("dysample", 12, 3, 2, groups=6).upsampler.groups == 6
