"""Cells times the index of their pixels, and IndexNet, which is made of them."""

import pytest
import torch
import upwell

from compare import assert_close
from problems import channels_last, random
from reference import formula, upsamplers

CLOSE = {torch.float32: 1e-5, torch.float64: 1e-12}
both_dtypes = pytest.mark.parametrize("dtype", CLOSE, ids=str)
# N, groups, channels of a group, h, w, H, W of an index of pixels.
PIXELS = [
    *((1, 1, 1, 1, 1, 1, 1), (2, 3, 2, 1, 1, 3, 5), (1, 4, 1, 5, 7, 10, 14), (2, 1, 5, 9, 4, 23, 11), (2, 2, 3, 20, 12, 7, 5)),
    *((1, 1, 40, 3, 33, 6, 66), (3, 17, 1, 6, 2, 7, 40), (1, 1, 2, 1, 3, 50, 6), (1, 2, 130, 16, 16, 64, 64)),
]
# N, groups, channels of a group, h, w, scale of an index of cells.
CELLS = [
    *((1, 1, 1, 1, 1, 2), (2, 3, 2, 1, 7, 3), (1, 5, 1, 6, 5, 2), (2, 1, 9, 4, 19, 5), (1, 1, 33, 17, 3, 2)),
    *((2, 64, 1, 20, 20, 2), (1, 2, 130, 16, 16, 4)),
]


def tensors(value: tuple, index: tuple, dtype: torch.dtype = torch.float64) -> list[torch.Tensor]:
    return [random(value, dtype, 1), random(index, dtype, 2)]


def of_pixels(shape: tuple, dtype: torch.dtype = torch.float64) -> list[torch.Tensor]:
    N, G, C, h, w, H, W = shape
    return tensors((N, G * C, h, w), (N, G, H, W), dtype)


def of_cells(shape: tuple, dtype: torch.dtype = torch.float64) -> list[torch.Tensor]:
    N, G, C, h, w, scale = shape
    return tensors((N, G * C, h, w), (N, G * scale**2, h, w), dtype)


def results(call, given: list[torch.Tensor]) -> list[torch.Tensor]:
    """The output, then the gradient of each tensor."""
    leaves = [tensor.detach().requires_grad_() for tensor in given]
    output = call(*leaves)
    output.backward(random(tuple(output.shape), output.dtype, 9))
    return [output.detach(), *(leaf.grad for leaf in leaves)]


def check(given: list[torch.Tensor], scale: int, groups: int) -> None:
    actual = results(lambda *t: upwell.ops.index_unpool(*t, scale, groups), given)
    expected = results(lambda *t: formula.index_unpool(*t, scale, groups), [tensor.double() for tensor in given])
    for a, e in zip(actual, expected, strict=True):
        assert_close(a, e, CLOSE[given[0].dtype], scale=max(1.0, e.abs().max().item()))


@pytest.mark.parametrize("shape", PIXELS, ids=str)
@both_dtypes
def test_an_index_of_pixels_of_any_size_gives_the_product_with_the_nearest_cells(shape, dtype):
    check(of_pixels(shape, dtype), 1, shape[1])


@pytest.mark.parametrize("shape", CELLS, ids=str)
@both_dtypes
def test_an_index_of_cells_gives_what_pixel_shuffle_makes_of_it(shape, dtype):
    check(of_cells(shape, dtype), shape[5], shape[1])


@pytest.mark.parametrize("seed", range(16))
def test_random_shapes(seed):
    torch.manual_seed(seed)
    draw = lambda most: int(torch.randint(1, most + 1, ()))  # noqa: E731
    shape = (draw(3), draw(5), draw(20), draw(12), draw(40))
    check(of_pixels((*shape, draw(40), draw(90)), torch.float32), 1, shape[1])
    scale = 1 + draw(4)
    check(of_cells((*shape, scale), torch.float32), scale, shape[1])


def test_both_kinds_of_index_are_the_same_bits():
    shape = (2, 2, 3, 5, 19, 3)
    value, index = of_cells(shape, torch.float32)
    low = results(lambda *t: upwell.ops.index_unpool(*t, 3, 2), [value, index])
    shuffled = torch.nn.functional.pixel_shuffle(index, 3)
    high = results(lambda *t: upwell.ops.index_unpool(*t, 1, 2), [value, shuffled])
    assert torch.equal(low[0], high[0]) and torch.equal(low[1], high[1])
    assert torch.equal(torch.nn.functional.pixel_shuffle(low[2], 3), high[2])


@pytest.mark.parametrize("scale, index", [(1, (2, 2, 5, 9)), (2, (2, 8, 2, 3))], ids=["pixels", "cells"])
def test_gradients_of_gradients(scale, index):
    given = [tensor.requires_grad_() for tensor in tensors((2, 4, 2, 3), index)]

    def call(value, index):
        return upwell.ops.index_unpool(value, index, scale, 2)

    assert torch.autograd.gradcheck(call, given) and torch.autograd.gradgradcheck(call, given)


@pytest.mark.parametrize("scale, index", [(1, (2, 2, 5, 9)), (2, (2, 8, 2, 3))], ids=["pixels", "cells"])
def test_opcheck_passes(scale, index):
    ops, (value, index) = torch.ops.upwell, tensors((2, 4, 2, 3), index)
    torch.library.opcheck(ops.index_unpool.default, (value.requires_grad_(), index.requires_grad_(), scale, 2))
    d_output = torch.randn_like(ops.index_unpool(value.detach(), index.detach(), scale, 2))
    torch.library.opcheck(ops.index_unpool_d_value.default, (d_output, index.detach(), 2, 3, scale, 2))
    torch.library.opcheck(ops.index_unpool_d_index.default, (d_output, value.detach(), scale, 2))


def test_the_same_bits_on_one_thread_and_on_two():
    pixels, cells = of_pixels((2, 2, 40, 24, 21, 48, 63), torch.float32), of_cells((2, 64, 1, 20, 20, 2), torch.float32)
    for given, scale, groups in ((pixels, 1, 2), (cells, 2, 64)):
        found = []
        for threads in (1, 2, 2):
            torch.set_num_threads(threads)
            found.append(results(lambda *t: upwell.ops.index_unpool(*t, scale, groups), given))
        for other in found[1:]:
            assert all(torch.equal(a, b) for a, b in zip(found[0], other, strict=True))


def test_any_strides_and_empty_maps():
    value, index = of_pixels((2, 2, 3, 5, 6, 10, 12))
    expected = results(lambda *t: upwell.ops.index_unpool(*t, 1, 2), [value, index])
    for strided in (channels_last, lambda x: x.mT.contiguous().mT):
        actual = results(lambda *t: upwell.ops.index_unpool(*map(strided, t), 1, 2), [value, index])
        assert all(torch.equal(a, e) for a, e in zip(actual, expected, strict=True))
    for value, index in (((0, 4, 3, 4), (0, 2, 6, 8)), ((2, 0, 3, 4), (2, 2, 6, 8))):
        output, d_value, d_index = results(lambda *t: upwell.ops.index_unpool(*t, 1, 2), tensors(value, index))
        assert output.shape == (*value[:2], *index[2:]) and d_value.shape == value and d_index.shape == index
        assert not d_value.any() and not d_index.any()


def test_sixteen_bits_and_autocast():
    value, index = of_cells((2, 1, 8, 4, 5, 2), torch.float32)
    expected = formula.index_unpool(value, index, 2)
    for dtype in (torch.float16, torch.bfloat16):
        for other in (dtype, torch.float32):
            output = upwell.ops.index_unpool(value.to(dtype), index.to(other), 2)
            assert output.dtype == dtype
            assert_close(output, expected, 0.05, scale=expected.abs().max().item())
    with torch.autocast("cpu", torch.bfloat16):
        assert upwell.ops.index_unpool(value, index, 2).dtype == torch.bfloat16


@pytest.mark.parametrize(
    "index, scale, groups, message",
    [
        ((2, 3, 6, 8), 1, 2, r"index_unpool: index should be \[2, 2, 6, 8\] but is \[2, 3, 6, 8\]"),
        ((1, 2, 6, 8), 1, 2, r"index_unpool: index should be \[2, 2, 6, 8\] but is \[1, 2, 6, 8\]"),
        ((2, 4, 3, 5), 2, 1, r"index_unpool: index should have the 3 rows and 4 columns of value but is \[2, 4, 3, 5\]"),
        ((2, 3, 6, 8), 1, 3, "index_unpool: groups should divide the 4 channels of value but is 3"),
        ((2, 1, 6, 8), 0, 1, "index_unpool: scale should be at least 1 but is 0"),
    ],
)
def test_a_bad_argument_is_named(index, scale, groups, message):
    with pytest.raises((RuntimeError, ValueError), match=message):
        upwell.ops.index_unpool(*tensors((2, 4, 3, 4), index), scale, groups)


@pytest.mark.parametrize("block", ["holistic", "o2o", "m2o"])
@pytest.mark.parametrize("scale", [1, 2, 3])
def test_indexnet_is_the_published_module(block, scale):
    torch.manual_seed(0)
    made = upwell.nn.IndexNet(6, 6, scale, block, True, True).double()
    maps = [random((2, 6, scale * 4, scale * 5), torch.float64, 1), random((2, 6, 4, 5), torch.float64, 2)]
    found = []
    for call in (made, lambda *given: upsamplers.index_net(made, *given)):
        made.zero_grad()
        found.append(results(call, maps) + [parameter.grad for parameter in made.parameters()])
    for actual, expected in zip(*found, strict=True):
        assert_close(actual, expected, 1e-10, scale=max(1.0, expected.abs().max().item()))


def test_a_hook_of_the_block_of_indexnet_is_heard():
    made, calls = upwell.nn.IndexNet(4, 4), []
    maps = torch.randn(1, 4, 6, 8), torch.randn(1, 4, 3, 4)
    expected = made(*maps)
    made.block.register_forward_hook(lambda *_: calls.append(1))
    assert_close(made(*maps), expected, 1e-6)
    assert calls == [1]


def test_index_unpool_takes_maps_of_two_dtypes_as_a_product_does():
    x, index = torch.randn(1, 4, 3, 4), torch.rand(1, 1, 7, 9)
    assert upwell.nn.index_unpool(x.bfloat16(), index).dtype == torch.float32
    assert upwell.nn.index_unpool(x, index.bfloat16()).dtype == torch.float32
    assert upwell.nn.index_unpool(x.double(), index).dtype == torch.float64
