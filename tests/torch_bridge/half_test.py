"""16-bit tensors: computed in float32, rounded once; and what autocast makes of operators and modules."""

import pytest
import torch
import upwell
from problems import EVERY_OPERATOR
from torch import Tensor

HALVES = [torch.float16, torch.bfloat16]
WEIGHTED = {
    "fns": lambda v, w: upwell.ops.fns(v, w, 3),
    "carafe": lambda v, w: upwell.ops.carafe(v, w, 3),
    "carafe_reassembly": lambda v, w: upwell.ops.carafe_reassembly(v, w, 3),
}


def ulps_apart(a: Tensor, b: Tensor) -> int:
    """The largest distance of two 16-bit tensors in units of the last place."""

    def ordered(x: Tensor) -> Tensor:
        bits = x.view(torch.int16).int()
        return torch.where(bits < 0, -32768 - bits, bits)

    return int((ordered(a) - ordered(b)).abs().max())


def maps(dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    torch.manual_seed(0)
    return torch.randn(2, 5, 4, 6).to(dtype), torch.randn(2, 9, 9, 13).to(dtype)


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("name", WEIGHTED)
def test_weights_may_stay_in_float32(name, dtype):
    value, weight = maps(dtype)[0].requires_grad_(), torch.randn(2, 9, 9, 13, requires_grad=True)
    result = WEIGHTED[name](value, weight)
    assert ulps_apart(result, WEIGHTED[name](value.float(), weight).to(dtype)) <= 2
    result.float().sum().backward()
    assert value.grad.dtype == dtype and weight.grad.dtype == torch.float32


@pytest.mark.parametrize("dtype", HALVES)
def test_filters_keep_the_dtype(dtype):
    torch.manual_seed(0)
    value, guide = torch.randn(2, 4, 5, 6).to(dtype), torch.randn(2, 4, 11, 12).to(dtype)
    calls = {
        "guided_filter": lambda v, g: upwell.ops.guided_filter(g, v, 2),
        "colour_guided_filter": lambda v, g: upwell.ops.colour_guided_filter(g[:, :3], v, 2),
        "group_stats": lambda v, g: upwell.ops.group_stats(g, 2)[0],
        "pcdc": lambda v, g: upwell.ops.pcdc(g, g, v.new_ones(4, 4, 3, 3), v.new_ones(4)),
    }
    for name, call in calls.items():
        result = call(value, guide)
        assert result.dtype == dtype, name
        assert ulps_apart(result, call(value.float(), guide.float()).to(dtype)) <= 2, name


@pytest.mark.parametrize("dtype", HALVES)
def test_sapas_scores_stay_in_float32(dtype):
    value, query, key = (torch.randn(2, 5, *size).to(dtype) for size in ((4, 6), (9, 13), (4, 6)))
    result = upwell.ops.sapa_attention(value, query, key, 3)
    wide = upwell.ops.sapa_attention(value.float(), query.float(), key.float(), 3)
    assert ulps_apart(result, wide.to(dtype)) <= 2
    for mixed in ((value, query.float(), key), (value, query, key.float()), (value.float(), query, key)):
        result = upwell.ops.sapa_attention(*mixed, 3)
        assert result.dtype == mixed[0].dtype
        assert ulps_apart(result.to(dtype), wide.to(dtype)) <= 2


@pytest.mark.parametrize("name", ["dysample", "sapa", "fade", "indexnet", "pixelshuffle", "deconv"])
def test_a_module_trains_under_autocast(name):
    module, guide, x = upwell.nn.make(name, 8, 12, 2), torch.randn(2, 12, 8, 10), torch.randn(2, 8, 4, 5)
    exact = module(guide, x)
    with torch.autocast("cpu", torch.bfloat16):
        result = module(guide, x)
        result.float().square().mean().backward()
    assert (result - exact).abs().max() < 0.02 * exact.abs().max()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in module.parameters())


def test_a_float64_weight_beside_a_16_bit_value_is_refused():
    value, weight = maps(torch.float16)
    with pytest.raises(RuntimeError, match="fns: logits should be Half like value but is Double"):
        upwell.ops.fns(value, weight.double(), 3)


def test_autocast_stores_maps_in_16_bits_and_weights_in_float32():
    value, logits = torch.randn(2, 5, 4, 6, requires_grad=True), torch.randn(2, 9, 8, 12, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        result = upwell.ops.fns(value, logits, 3)
        guided = upwell.ops.guided_filter(torch.randn(2, 5, 8, 12).bfloat16(), value, 2)
        mean, _ = upwell.ops.group_stats(value.bfloat16(), 5)
    assert (result.dtype, guided.dtype, mean.dtype) == (torch.bfloat16, torch.float32, torch.float32)
    assert ulps_apart(result, upwell.ops.fns(value.bfloat16(), logits, 3)) == 0
    result.float().sum().backward()
    assert value.grad.dtype == logits.grad.dtype == torch.float32


@pytest.mark.parametrize("normalised", [True, False])
def test_resfu_trains_under_autocast(normalised):
    torch.manual_seed(0)
    model = upwell.nn.ReSFU(6, 16, normx=normalised, normy=normalised)
    y, x = torch.randn(2, 6, 16, 24), torch.randn(2, 16, 4, 6)
    exact = model(y, x)
    with torch.autocast("cpu", torch.bfloat16):
        result = model(y, x)
        assert result.dtype == torch.bfloat16
        result.float().square().mean().backward()
    assert (result - exact).abs().max() < 0.02 * exact.abs().max()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("problem", EVERY_OPERATOR, ids=str)
def test_every_operator_and_option(problem, dtype):
    tensors = problem.tensors(dtype)
    result, gradients = problem.gradients(upwell.ops, tensors, problem.cotangent(dtype))
    expected, wide = problem.gradients(
        upwell.ops, [t.float() for t in tensors], problem.cotangent(dtype).float()
    )
    for a, b in [(result, expected), *zip(gradients, wide)]:
        assert ulps_apart(a, b.to(dtype)) <= 2
