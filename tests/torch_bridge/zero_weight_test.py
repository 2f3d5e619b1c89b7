"""What has no weight is not read: 0 times infinity is a nan. A pixel that lies on a cell has the value of that cell alone,
and gives its gradient to it alone."""

import pytest
import torch
import upwell

# Low-res and high-res size: the same, one axis the same, and pixels that lie on cells here and there.
SIZES = [((6, 8), (6, 8)), ((6, 8), (6, 16)), ((6, 8), (13, 8)), ((4, 5), (12, 15)), ((12, 15), (4, 5)), ((6, 4), (9, 10))]


def weights(low: int, high: int) -> torch.Tensor:
    """[high, low]: what each cell counts for in each pixel, in exact integers until the division."""
    matrix = torch.zeros(high, low, dtype=torch.float64)
    for p in range(high):
        base, rest = divmod((2 * p + 1) * low - high, 2 * high)
        for cell, share in ((base, 1 - rest / (2 * high)), (base + 1, rest / (2 * high))):
            matrix[p, min(max(cell, 0), low - 1)] += share
    return matrix


@pytest.mark.parametrize("bad", [float("inf"), float("-inf"), float("nan")])
@pytest.mark.parametrize("channels", [3, 12])
@pytest.mark.parametrize("low, high", SIZES)
def test_bilinear_interpolation_reads_no_cell_of_weight_0(low, high, channels, bad):
    rows, columns = (weights(*axis) != 0 for axis in zip(low, high))
    for cell in [(0, 0), (2, 3), (low[0] - 1, low[1] - 2)]:
        value = torch.randn(1, channels, *low)
        value[0, 1][cell] = bad
        expected = rows[:, cell[0], None] & columns[:, cell[1]]
        assert torch.equal(~upwell.ops.bilinear(value, high)[0, 1].isfinite(), expected)


@pytest.mark.parametrize("channels", [3, 12])
@pytest.mark.parametrize("low, high", [sizes for sizes in SIZES if sizes[0] != sizes[1]])
def test_a_pixel_that_lies_on_a_cell_has_its_value_be_it_infinite(low, high, channels):
    rows, columns = ((weights(*axis) == 1).any(1) for axis in zip(low, high))
    on_cells = upwell.ops.bilinear(torch.full((1, channels, *low), float("inf")), high)[..., rows, :][..., columns]
    assert on_cells.numel() and on_cells.isposinf().all()


@pytest.mark.parametrize("bad", [float("inf"), float("nan")])
@pytest.mark.parametrize("channels", [3, 12])
@pytest.mark.parametrize("low, high", SIZES)
def test_bilinear_interpolation_gives_no_gradient_to_a_cell_of_weight_0(low, high, channels, bad):
    rows, columns = (weights(*axis) != 0 for axis in zip(low, high))
    value = torch.randn(1, channels, *low, requires_grad=True)
    for pixel in [(0, 0), (1, 1), (2, 4), (high[0] - 1, high[1] - 2)]:
        gradient = torch.randn(1, channels, *high)
        gradient[0, 1][pixel] = bad
        (d_value,) = torch.autograd.grad(upwell.ops.bilinear(value, high), value, gradient)
        expected = rows[pixel[0], :, None] & columns[pixel[1]]
        assert torch.equal(~d_value[0, 1].isfinite(), expected)


def test_interpolation_to_the_same_size_is_the_identity():
    value = torch.randn(2, 12, 5, 7)
    value[0, 0, 1, 2], value[1, 3, 4, 6], value[0, 5] = float("inf"), float("nan"), float("-inf")
    for narrow in (value, value[:, :3]):
        out = upwell.ops.bilinear(narrow, narrow.shape[2:])
        assert torch.equal(out.nan_to_num(7), narrow.nan_to_num(7)) and torch.equal(out.isinf(), narrow.isinf())


@pytest.mark.parametrize("channels", [3, 12])
def test_a_tap_of_fns_on_a_cell_reads_that_cell_alone(channels):
    low, high = (6, 8), (6, 8)
    value, logits = torch.randn(1, channels, *low), torch.randn(1, 9, *high)
    value[0, 1, 2, 3] = float("inf")
    seen = ~upwell.ops.fns(value, logits, 3)[0, 1].isfinite()
    expected = torch.zeros(high, dtype=torch.bool)
    expected[1:4, 2:5] = True
    assert torch.equal(seen, expected)
