"""bilinear, bicubic and nearest by a scale_factor: torch's interpolate, by either of its rules."""

import pytest
import torch
import torch.nn.functional as F
import upwell
from compare import assert_close
from problems import LAYOUTS, channels_last, random

MODES = ["bilinear", "bicubic", "nearest"]
SCALES = [0.3, 0.7, 1.0, 1.1, 1.3, 1.5, 1.55, 2.0, 2.05, 2.3, 3.0, 4.7, (1.3, 0.7), (2.0, 1.3)]
TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-13}
every_mode = pytest.mark.parametrize("mode", MODES)


def ours(mode: str, x: torch.Tensor, scale, recompute: bool | None = None) -> torch.Tensor:
    return getattr(upwell.ops, mode)(x, scale_factor=scale, recompute_scale_factor=recompute)


def torchs(mode: str, x: torch.Tensor, scale, recompute: bool | None = None) -> torch.Tensor:
    """In float64 of channels_last maps: in large ones of another format, or of 3 channels, torch's nearest reads other
    neighbours forward than backward."""
    given = channels_last(x) if mode == "nearest" and x.dtype == torch.float64 else x
    return F.interpolate(given, scale_factor=scale, mode=mode, recompute_scale_factor=recompute)


def with_gradient(call, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    leaf = x.detach().requires_grad_()
    output = call(leaf)
    return output.detach(), torch.autograd.grad(output, leaf, random(tuple(output.shape), x.dtype, 7))[0]


@pytest.mark.parametrize("recompute", [None, False, True])
@pytest.mark.parametrize("scale", SCALES, ids=str)
@every_mode
def test_output_and_gradient_are_torchs_at_every_scale(mode, scale, recompute):
    for dtype, tolerance in TOLERANCE.items():
        for size in ((10, 15), (7, 4), (33, 57), (4, 6)):  # an axis that stays as long is copied, but not by bicubic
            x = random((2, 4, *size), dtype, 1)
            actual = with_gradient(lambda leaf: ours(mode, leaf, scale, recompute), x)
            expected = with_gradient(lambda leaf: torchs(mode, leaf, scale, recompute), x)
            is_torchs_gradient_wrong = mode == "bicubic" and expected[0].shape == x.shape  # findings/torch_bicubic_same_size.sh
            for a, e, what in zip(actual, expected, ("output",) if is_torchs_gradient_wrong else ("output", "gradient")):
                assert_close(a, e, tolerance, f"{mode} by {scale} of {list(size)} in {dtype}: {what}")


@every_mode
def test_both_rules_agree_only_where_the_size_is_whole(mode):
    x = random((1, 2, 10, 15), torch.float64, 1)
    assert torch.equal(ours(mode, x, 2.0), ours(mode, x, 2.0, True))
    assert not torch.allclose(ours(mode, x, 1.55), ours(mode, x, 1.55, True))


@every_mode
def test_a_size_that_is_whole_by_chance_follows_the_scale(mode):
    """10 rows times 2.05 are 20: the size of ratio 2, which has a kernel of its own."""
    x = random((1, 2, 10, 10), torch.float32, 1)
    assert_close(ours(mode, x, 2.05), torchs(mode, x, 2.05), 1e-6)
    # Torch's nearest alone leaves such a scale aside.
    assert torch.allclose(ours(mode, x, 2.05), ours(mode, x, 2)) == (mode == "nearest")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_a_nearest_neighbour_is_the_one_that_torch_reads(dtype):
    for scale in (0.1, 0.3, 0.7, 1.1, 1.15, 1.3, 12 / 7, 22 / 13, 2.3, 3.3, 7.7):
        for length in range(1, 260, 3):
            x = torch.arange(float(length), dtype=dtype)[None, None, None].expand(1, 4, 12, length)
            if int(length * scale):
                assert torch.equal(ours("nearest", x, scale), torchs("nearest", x, scale)), (scale, length)


@pytest.mark.parametrize("scale", [1.1, 1.3, 0.7])  # by 1.1 the size stays as it is
@every_mode
def test_gradients_pass_gradcheck_twice(mode, scale):
    leaf = random((1, 2, 5, 6), torch.float64, 1).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: ours(mode, x, scale), leaf)
    assert torch.autograd.gradgradcheck(lambda x: ours(mode, x, scale), leaf)


@pytest.mark.parametrize("layout", LAYOUTS)
@every_mode
def test_every_layout_is_taken(mode, layout):
    x = random((2, 3, 6, 7), torch.float64, 1)
    assert torch.equal(ours(mode, LAYOUTS[layout](x), 1.3), ours(mode, x, 1.3))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
@every_mode
def test_16_bits_are_computed_in_float32_and_rounded_once(mode, dtype):
    x = random((2, 3, 6, 7), dtype, 1)
    assert torch.equal(ours(mode, x, 1.3), ours(mode, x.float(), 1.3).to(dtype))
    with torch.autocast("cpu", dtype):
        assert ours(mode, x.float(), 1.3).dtype == torch.float32


@every_mode
def test_compiled_and_on_the_meta_device(mode):
    torch._dynamo.reset()
    compiled = torch.compile(lambda x: ours(mode, x, 1.3), fullgraph=True, dynamic=True)
    for size in ((6, 7), (10, 15), (9, 4)):
        x = random((2, 3, *size), torch.float64, 1)
        results = [with_gradient(call, x) for call in (compiled, lambda leaf: ours(mode, leaf, 1.3))]
        assert all(torch.equal(a, e) for a, e in zip(*results))
        assert ours(mode, x.to("meta"), 1.3).shape == results[0][0].shape
    torch.library.opcheck(
        getattr(torch.ops.upwell, mode).default, (x.requires_grad_(), [11, 5]), {"scale_h": 1.3, "scale_w": 1.3}
    )


@pytest.mark.parametrize("name", ["Bilinear", "Nearest"])
def test_a_module_follows_upsample_by_default_and_recompute_by_name_and_the_sizes_when_it_is_given_one(name):
    x = random((1, 2, 10, 15), torch.float64, 1)
    module, mode = getattr(upwell.nn, name), name.lower()
    for scale in (1.3, (1.3, 0.7), 2):
        assert torch.equal(module(scale)(x), ours(mode, x, scale))
        assert torch.equal(module(scale, recompute_scale_factor=True)(x), ours(mode, x, scale, True))
    assert torch.equal(module(1.3)(x, (13, 19)), getattr(upwell.ops, mode)(x, (13, 19)))
    sized = upwell.nn.make(mode, 2, 3, 1.3)
    assert torch.equal(sized(torch.zeros(1, 3, 13, 19), x), getattr(upwell.ops, mode)(x, (13, 19)))


@every_mode
def test_what_cannot_be_meant_is_refused(mode):
    call, x = getattr(upwell.ops, mode), torch.zeros(1, 2, 4, 5)
    for options in ({}, {"size": (4, 4), "scale_factor": 2}):
        with pytest.raises(ValueError, match=rf"^{mode}: one of size and scale_factor"):
            call(x, **options)
    with pytest.raises(ValueError, match=rf"^{mode}: recompute_scale_factor"):
        call(x, (4, 4), recompute_scale_factor=True)
    for scale in (0, -1.3, float("nan"), float("inf"), (1, 2, 3), ()):
        with pytest.raises(ValueError, match=rf"^{mode}: scale_factor should be"):
            call(x, scale_factor=scale)
    with pytest.raises(ValueError, match=rf"^{mode}: value should be"):
        call(x[0], scale_factor=2)
    for name in ("scale_h", "scale_w"):
        for scale in (0.0, -1.0, float("nan"), float("inf")):
            with pytest.raises(RuntimeError, match=f"{mode}: {name} should be positive and finite"):
                getattr(torch.ops.upwell, mode)(x, [4, 4], **{name: scale})
    with pytest.raises(RuntimeError, match=f"{mode}: size should be 2 integers of at least 1"):
        call(x, scale_factor=0.1)
