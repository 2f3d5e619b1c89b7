"""Hidden channels of pcdc_scores that are kept between passes: the same bits, and what they take."""

import pytest
import torch
import upwell
from problems import random

MIB = 1 << 20


def call(keep_mib: int, n: int, size: tuple[int, int], low: tuple[int, int] | None, dtype: torch.dtype, **options):
    """Scores and every gradient; D 8, L 16, M 24 in 2 groups. low: of the key; None: it is a map."""
    shapes = [(n, 8, *(low or size)), (n, 8, *size), (8,), (16, 4, 3, 3), (16,), (24, 8), (24,), (24,), (24,)]
    tensors = [random(s, dtype, i).requires_grad_() for i, s in enumerate([*shapes, (9, 24), (9,)])]
    options = {"groups": 2, "norm_groups": 4, "keep_mib": keep_mib} | options
    scores = upwell.ops.pcdc_scores(*tensors, ratio=None if low else (2, 1, 3, 2), blur=not low, **options)
    return scores, *torch.autograd.grad(scores, tensors, random(scores.shape, dtype, 99))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
@pytest.mark.parametrize("relu", [True, False])
@pytest.mark.parametrize(
    "n, size, low",
    [(2, (5, 7), (2, 3)), (1, (1, 1), (1, 1)), (2, (33, 70), (8, 17)), (2, (6, 9), None), (1, (34, 66), None),
     (3, (1, 1), None), (0, (4, 4), (2, 2))],
    ids=str,
)
def test_kept_hidden_channels_give_the_same_bits(n, size, low, relu, dtype):
    found, kept = (call(keep_mib, n, size, low, dtype, relu=relu) for keep_mib in (0, 256))
    for expected, actual in zip(found, kept, strict=True):
        assert torch.equal(actual, expected)


@pytest.mark.parametrize("keep_mib", [0, 256])
def test_scores_without_gradients_are_the_same_bits(keep_mib):
    with_gradients = call(256, 2, (33, 70), (8, 17), torch.float32)[0]
    with torch.no_grad():
        shapes = [(2, 8, 8, 17), (2, 8, 33, 70), (8,), (16, 4, 3, 3), (16,), (24, 8), (24,), (24,), (24,), (9, 24), (9,)]
        tensors = [random(s, torch.float32, i) for i, s in enumerate(shapes)]
        assert torch.equal(upwell.ops.pcdc_scores(*tensors, 2, 4, keep_mib=keep_mib), with_gradients)


@pytest.mark.parametrize("threads", [1, 2])
def test_kept_hidden_channels_give_the_same_bits_on_any_number_of_threads(threads):
    expected = call(256, 2, (33, 70), None, torch.float32)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        actual = call(256, 2, (33, 70), None, torch.float32)
    finally:
        torch.set_num_threads(before)
    assert all(map(torch.equal, actual, expected))


def kept_elements(keep_mib: int, rows: int) -> int:
    """Of hidden channels that a backward pass keeps, of a map of rows x 64 pixels with 32 channels in one group."""
    kept = []
    maps = [torch.zeros(1, 4, rows, 64, requires_grad=True)] * 2
    weights = [torch.zeros(*s) for s in ((4,), (32, 4, 1, 1), (32,), (32, 32), (32,), (32,), (32,), (1, 32), (1,))]
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.shape) or t, lambda t: t):
        upwell.ops.pcdc_scores(*maps, *weights, 1, 4, (1, 1, 1, 1), keep_mib=keep_mib)
    return sum(shape.numel() for shape in kept if shape[1:] == (1, rows * 64, 32))


def test_hidden_channels_are_kept_up_to_the_limit_and_not_beyond():
    of_one = MIB // (64 * 32 * 4)  # rows whose hidden channels take one MiB
    assert kept_elements(1, of_one) == MIB // 4
    assert kept_elements(1, of_one + 1) == 0
    assert kept_elements(0, 1) == 0
    assert kept_elements(2, 2 * of_one) == 2 * MIB // 4
