"""The weights of taps, for callers who ask for them: their values and gradients, and that nothing else has them."""

import inspect
import os

import pytest
import torch
import upwell
from reference import formula
from torch import Tensor

from described_taps_test import OPERATORS, STAR, maps, read, scores_by_formula
from strangers import random, sample, scores_by_formula as kindred_scores, write

pytestmark = [pytest.mark.xdist_group("new_operator"), pytest.mark.usefixtures("cache")]  # built once


def masked_softmax(logits: Tensor, there: Tensor) -> Tensor:
    return logits.masked_fill(~there, -torch.inf).softmax(-3)


def inside_high_res(low, high, kernel, mask_ratio=None) -> Tensor:
    """[K*K, H, W]: taps one low-res cell apart that lie among the pixels."""
    radius, of_axes = kernel // 2, []
    for cells, pixels in zip(low, high):
        p, offsets = torch.arange(pixels), torch.arange(-radius, radius + 1)[:, None]
        place = (p + offsets * mask_ratio) if mask_ratio else (p * cells + offsets * pixels)
        of_axes.append((place >= 0) & (place <= (pixels - 1) * (1 if mask_ratio else cells)))
    return (of_axes[0][:, None, :, None] & of_axes[1][None, :, None, :]).reshape(-1, *high)


SIZES = [((3, 4), (6, 8)), ((3, 4), (7, 9)), ((1, 1), (2, 2)), ((5, 3), (4, 3))]


@pytest.mark.parametrize("low, high", SIZES, ids=str)
@pytest.mark.parametrize("mask_ratio", [None, 2])
def test_weights_of_fns_are_those_it_sums_with(low, high, mask_ratio):
    value, logits = random(2, 3, *low, seed=1), random(2, 9, *high, seed=2)
    output, weights = upwell.ops.fns(value, logits, 3, mask_ratio, return_weights=True)
    torch.testing.assert_close(weights, masked_softmax(logits, inside_high_res(low, high, 3, mask_ratio)))
    assert torch.equal(output, upwell.ops.fns(value, logits, 3, mask_ratio))
    torch.testing.assert_close(formula._sum_of_samples(value, weights, 3, formula._read_bilinear), output)


@pytest.mark.parametrize("low, high", SIZES, ids=str)
@pytest.mark.parametrize("border", ["zero", "mask"])
def test_weights_of_carafe_are_those_of_each_group(low, high, border):
    value, logits = random(2, 4, *low, seed=1), random(2, 18, *high, seed=2)
    output, weights = upwell.ops.carafe(value, logits, 3, 2, border, return_weights=True)
    assert weights.shape == (2, 2, 9, *high)
    assert torch.equal(output, upwell.ops.carafe(value, logits, 3, 2, border))
    offsets = [(row, column) for row in (-1, 0, 1) for column in (-1, 0, 1)]
    there = torch.stack([read(value, offset, 1, high, "masked")[1] for offset in offsets])
    given = logits.reshape(2, 2, 9, *high)
    torch.testing.assert_close(weights, masked_softmax(given, there) if border == "mask" else given.softmax(2))
    by_weights = upwell.ops.carafe_reassembly(value, weights.flatten(1, 2), 3, 2)
    torch.testing.assert_close(by_weights, output)


def test_weights_of_sapa_come_from_its_products():
    value, query, key = random(2, 4, 3, 5, seed=1), random(2, 6, 6, 10, seed=2), random(2, 6, 3, 5, seed=3)
    for border in ("zero", "mask"):
        output, weights = upwell.ops.sapa_attention(value, query, key, 5, border, return_weights=True)
        assert weights.shape == (2, 25, 6, 10)
        assert torch.equal(output, upwell.ops.sapa_attention(value, query, key, 5, border))
        torch.testing.assert_close(upwell.ops.carafe_reassembly(value, weights, 5), output)


def test_weights_of_a_described_operator_are_those_it_sums_with(kindred):
    value, key, query = sample()
    output, weights = kindred(value, key, query, 3, 2, return_weights=True)
    assert torch.equal(output, kindred(value, key, query, 3, 2))
    split = [x.reshape(4, 3, *x.shape[2:]) for x in (query, key)]
    scores = kindred_scores(*split, 3).reshape(2, 2, 9, 6, 8)
    torch.testing.assert_close(weights, masked_softmax(scores, inside_high_res((3, 4), (6, 8), 3)))


@pytest.fixture(scope="module")
def listed(cache, tmp_path_factory):
    source = write(tmp_path_factory.mktemp("weighed"), "weighed.cpp", OPERATORS.replace("OPERATOR(", "OPERATOR(weighed_"))
    operators = upwell.build(source, kernels=[3], dtypes=["float64"], progress=False)
    return {operator.__name__.removeprefix("weighed_"): operator for operator in operators}


def test_weights_of_listed_taps_with_a_bias_leave_out_those_outside(listed):
    value, key, query, place = maps((3, 4), (7, 9), (4,), channels=6)
    output, weights = listed["starred"](value, key, query, place, return_weights=True)
    assert weights.shape == (2, 4, 7, 9) and torch.equal(output, listed["starred"](value, key, query, place))
    taps = [read(value, offset, 2, (7, 9), "masked") for offset in STAR]
    scores = scores_by_formula(query, key, place, STAR, "masked")
    torch.testing.assert_close(weights, masked_softmax(scores, torch.stack([there for _, there in taps])))


def test_weights_without_a_softmax_are_the_products(listed):
    value, key, query, place = maps((3, 4), (6, 8), (2, 9))
    _, weights = listed["mirrored"](value, key, query, place, 3, 2, return_weights=True)
    scores = torch.ops.upwell.weighed_mirrored_scores(query, key, place, 3, 2)
    assert torch.equal(weights, scores.reshape(2, 2, 9, 6, 8))


def test_weights_are_differentiated_together_with_the_output(kindred):
    tensors = [x.requires_grad_() for x in sample((2, 3), (4, 6), n=1, channels=2, keys=4)]
    assert torch.autograd.gradcheck(lambda *all: kindred(*all, 3, 2, return_weights=True), tensors)


def test_weights_are_there_on_meta_of_no_samples_and_under_autocast(kindred):
    output, weights = kindred(*(x.to("meta") for x in sample()), 3, return_weights=True)
    assert output.shape == (2, 4, 6, 8) and weights.shape == (2, 1, 9, 6, 8)
    assert kindred(*sample(n=0), 3, return_weights=True)[1].shape == (0, 1, 9, 6, 8)
    tensors = sample(dtype=torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        output, weights = kindred(*tensors, 3, return_weights=True)
    assert (output.dtype, weights.dtype) == (torch.bfloat16, torch.float32)
    torch.testing.assert_close(weights, kindred(*tensors, 3, return_weights=True)[1], rtol=0.1, atol=0.1)


def test_weights_compile_whole_for_any_size(kindred):
    def run(value, key, query, logits):
        output, weights = kindred(value, key, query, 3, return_weights=True)
        others = upwell.ops.carafe(value, logits, 3, border="mask", return_weights=True)
        return output.square().sum() + weights.square().sum() + sum(x.square().sum() for x in others)

    compiled = torch.compile(run, fullgraph=True, dynamic=True)
    for high in ((6, 8), (7, 9)):
        tensors = [*sample(high=high), random(2, 9, *high, seed=5)]
        tensors = [x.requires_grad_() for x in tensors]
        actual = torch.autograd.grad(compiled(*tensors), tensors)
        for a, b in zip(actual, torch.autograd.grad(run(*tensors), tensors)):
            torch.testing.assert_close(a, b)


def test_nobody_who_does_not_ask_gets_a_pair(kindred):
    assert isinstance(kindred(*sample(), 3), Tensor)
    assert inspect.signature(kindred).parameters["return_weights"].default is False
    assert "return_weights" not in inspect.signature(upwell.ops.bicubic).parameters
    assert "[N, G, K*K, H, W]" in kindred.__doc__


def test_bad_input_is_refused_as_without_weights(kindred):
    value, key, query = sample()
    with pytest.raises(RuntimeError, match=r"kindred: key should be \[2, 5, 3, 4\]"):
        kindred(value, key, query[:, :5], 3, return_weights=True)
    with pytest.raises(RuntimeError, match="carafe: border should be"):
        upwell.ops.carafe(value, random(2, 9, 6, 8), 3, border="none", return_weights=True)


@pytest.mark.skipif("opencl" in os.environ.get("UPWELL_LIBRARY", ""), reason="local_attention has kernels for processors alone")
def test_weights_of_local_attention_are_its_softmax():
    value, logits = random(2, 3, 3, 4, seed=1), random(2, 13, 6, 8, seed=2)
    output, weights = upwell.ops.local_attention(value, logits, return_weights=True)
    assert torch.equal(output, upwell.ops.local_attention(value, logits))
    torch.testing.assert_close(weights, logits.softmax(1))


WINDOWS = [
    ("shifted", (3, 3), 0.0),
    ("shifted", (3, 5), 0.0),
    ("masked", (3, 3), 0.0),
    ("ratio", (0, 0), 0.3),
    ("whole", (0, 0), 0.0),
]


@pytest.mark.parametrize("window, kernel, ratio", WINDOWS, ids=str)
@pytest.mark.parametrize("low, high", [((4, 5), (8, 10)), ((2, 3), (7, 5)), ((6, 4), (5, 4))], ids=str)
@pytest.mark.parametrize("heads, mean_heads", [(1, False), (2, False), (2, True)])
def test_weights_of_cross_attention_are_those_of_its_windows(window, kernel, ratio, low, high, heads, mean_heads):
    query, key = random(2, 6, *high, seed=1), random(2, 6, *low, seed=2)
    cells = low[0] * low[1]
    every_cell = torch.eye(cells, dtype=torch.float64).reshape(1, cells, *low).expand(2, -1, -1, -1)
    options = (heads, window, kernel, ratio, mean_heads)
    value = every_cell if mean_heads else every_cell.repeat(1, heads, 1, 1)
    output, weights = upwell.ops.cross_attention(query, key, value, *options, return_weights=True)
    assert weights.shape[:-3] == ((2,) if mean_heads else (2, heads)) and weights.shape[-2:] == high
    # Each cell's share of a pixel is its weight: in the order of cells, which is that of a window, without those that are 0.
    dense = output.reshape(*weights.shape[:-3], cells, *high)
    of_cells, of_window = dense.movedim(-3, -1), weights.movedim(-3, -1)
    torch.testing.assert_close(of_cells[of_cells > 0], of_window[of_window > 0])
    torch.testing.assert_close(weights.sum(-3), torch.ones_like(weights.sum(-3)))


def test_weights_of_cross_attention_are_differentiated():
    query, key, value = random(1, 4, 4, 5, seed=1), random(1, 4, 2, 3, seed=2), random(1, 2, 2, 3, seed=3)
    leaves = [x.requires_grad_() for x in (query, key, value)]
    for window, kernel in (("shifted", 3), ("masked", 3)):
        def run(*all):
            return upwell.ops.cross_attention(*all, 2, window, kernel, return_weights=True)

        assert torch.autograd.gradcheck(run, leaves)
