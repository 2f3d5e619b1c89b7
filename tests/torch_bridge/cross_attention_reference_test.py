"""The reference of cross-attention against the golden data."""

import pytest
import torch

import golden
from golden_test import check_operator, every_case
from reference.cross_attention import bounds, cross_attention, seen


@every_case("cross_attention")
def test_the_reference_agrees_with_the_golden_data(name):
    case = golden.load(name, torch.float64)
    check_operator(case, lambda query, key, value: cross_attention(query, key, value, **case.hyper))


def test_a_shifted_window_keeps_its_size_and_a_masked_one_does_not():
    assert bounds("shifted", 0, 8, 4, 3, 0) == (0, 3) and bounds("shifted", 7, 8, 4, 3, 0) == (1, 4)
    assert seen("masked", 8, 4, 3, 0).sum(1).tolist() == [2, 2, 3, 3, 3, 3, 2, 2]
    assert seen("shifted", 5, 2, 7, 0).all()


@pytest.mark.parametrize("m, n", [(4, 1), (3, 7), (7, 3), (16, 8)])
def test_a_ratio_of_1_is_the_whole_map_and_a_bound_on_a_cell_ends_there(m, n):
    assert seen("ratio", m, n, 0, 1.0).all() and seen("whole", m, n, 0, 0).all()
    # (p + 1/2)/16 -+ 1/32 ends on a half or on a whole cell of 8: of 16 pixels each sees its own cell alone.
    assert seen("ratio", 16, 8, 0, 1 / 32).sum(1).tolist() == [1] * 16
