"""Every known defect of the published FNS, ReSFU, CARAFE, SAPA, FADE, DySample, WRC and bilinear code, as a test that it
is not here."""

import copy
from fractions import Fraction

import pytest
import torch
import torch.nn.functional as F
import upwell
from upwell.nn.guided_filter import GuidedFilter

import golden
from compare import assert_close, largest
from problems import LARGE, Problem, channels_last, random
from reference import formula, loops, upsamplers

FLOAT64 = 1e-12
published = pytest.mark.parametrize(
    "name", ["resfu", "carafe", "dysample", "sapa", "fade", "indexnet", "pixelshuffle", "deconv"]
)

# Low-res and high-res extents at no integer ratio, some that the published float32 coordinates got wrong.
NON_INTEGER = [
    (14, 16),
    (14, 32),
    (7, 10),
    (10, 7),
    (3, 7),
    (28, 30),
    (28, 64),
    (33, 50),
    (49, 64),
    (100, 333),
    (479, 480),
    (333, 1000),
]


def resfu(**options) -> torch.nn.Module:
    """A small ReSFU in float64, its parameters far from their initial values so that every path matters."""
    module = upwell.nn.ReSFU(12, 8, **{"scale_factor": 2, **options}).double()
    with torch.no_grad():
        for i, parameter in enumerate(module.parameters()):
            parameter.add_(random(parameter.shape, parameter.dtype, i), alpha=0.2)
    return module


def resfu_inputs(low=(5, 7), high=(10, 14), n=1) -> tuple[torch.Tensor, torch.Tensor]:
    return random((n, 12, *high), torch.float64, 1), random((n, 8, *low), torch.float64, 2)


def fns_matrix(problem: Problem) -> torch.Tensor:
    """The matrix [H*W, h*w] of the first sample."""
    return loops.fns_matrix(problem.tensors()[1][0], problem.low, problem.kernel, problem.mask_ratio)


# ReSFU FNS, CUDA backward: grad x is wrong on the last row and column.


@pytest.mark.parametrize("dtype, tolerance", [(torch.float32, 1e-5), (torch.float64, FLOAT64)], ids=str)
@pytest.mark.parametrize(
    "problem",
    [
        Problem("fns", (8, 8), (16, 16)),
        Problem("fns", (4, 5), (16, 20), kernel=5),
        Problem("fns", (4, 5), (11, 13)),
        Problem("fns", (1, 3), (8, 24)),
    ],
    ids=str,
)
def test_fns_gradient_is_true_on_the_last_row_and_column(problem, dtype, tolerance):
    cotangent = problem.cotangent(dtype)
    _, (actual, _) = problem.gradients(upwell.ops, problem.tensors(dtype), cotangent)
    expected = (cotangent[0].double().flatten(1) @ fns_matrix(problem)).reshape(actual.shape)
    assert_close(actual[:, :, -1], expected[:, :, -1], tolerance, "last row")
    assert_close(actual[..., -1], expected[..., -1], tolerance, "last column")
    assert_close(actual[..., -1:, -1:], expected[..., -1:, -1:], tolerance, "last corner")


@pytest.mark.parametrize("low, high", [((8, 8), (32, 32)), ((32, 32), (64, 64)), ((5, 9), (13, 17))], ids=str)
def test_fns_loses_no_gradient(low, high):
    """Weights sum to 1, so the gradient of the sum of the outputs sums to the number of outputs."""
    problem = Problem("fns", low, high)
    _, (d_value, _) = problem.gradients(
        upwell.ops, problem.tensors(), torch.ones(problem.output_shape).double()
    )
    assert abs(d_value.sum().item() / (problem.channels * high[0] * high[1]) - 1) < FLOAT64


# ReSFU FNS, CUDA: float32 coordinates put taps one low-res pixel off.


def one_row(low: int, high: int, kernel: int = 3) -> Problem:
    return Problem("fns", (1, low), (1, high), channels=1, kernel=kernel)


@pytest.mark.parametrize(
    "dtype, tolerance", [(torch.float32, 1e-6), (torch.float64, 1e-14)], ids=["float32", "float64"]
)
@pytest.mark.parametrize("low, high", NON_INTEGER)
def test_fns_coordinates_are_exact_for_14_to_16_and_14_to_32_and_other_non_integer_pairs(
    low, high, dtype, tolerance
):
    """A map of 1 at the even pixels and 0 at the odd ones, or the reverse, tells where the taps are read."""
    for parity in (0, 1):
        value = (torch.arange(low) % 2 == parity).to(dtype).reshape(1, 1, 1, low)
        for mask_ratio in (None, 3):
            rows = [loops.fns_axis(0, 1, 1, 3, mask_ratio)]
            columns = [loops.fns_axis(x, low, high, 3, mask_ratio) for x in range(high)]
            expected = [read_exactly(value.flatten().tolist(), rows[0], column) for column in columns]
            output = upwell.ops.fns(value, torch.zeros(1, 9, 1, high, dtype=dtype), 3, mask_ratio)
            assert_close(output.flatten(), torch.tensor(expected, dtype=torch.float64), tolerance)


def read_exactly(value: list[float], rows, columns) -> float:
    """The mean over the taps inside of the samples of one row of pixels, in fractions."""
    inside = [column for row in rows if row for column in columns if column]
    samples = [sum(share * Fraction(value[i]) for i, share in column.items()) for column in inside]
    return float(sum(samples) / len(samples))


def test_fns_reads_the_right_pixels_for_every_pair_of_sizes_up_to_24():
    for low in range(1, 25):
        for high in range(1, 25):
            problem = one_row(low, high)
            cotangent = problem.cotangent()
            output, (d_value, _) = problem.gradients(upwell.ops, problem.tensors(), cotangent)
            matrix = fns_matrix(problem)
            assert_close(
                output.flatten(), matrix @ problem.tensors()[0].flatten(), FLOAT64, f"{low} to {high}"
            )
            assert_close(
                d_value.flatten(), cotangent.flatten() @ matrix, FLOAT64, f"{low} to {high}: gradient"
            )


@pytest.mark.parametrize("low, high", NON_INTEGER)
def test_bilinear_and_nearest_coordinates_are_exact_for_non_integer_pairs(low, high):
    value = random((1, 1, low, 1), torch.float64, 0)
    assert_close(upwell.ops.bilinear(value, (high, 1)), loops.bilinear(value, (high, 1)), FLOAT64)
    assert torch.equal(upwell.ops.nearest(value, (high, 1)), loops.nearest(value, (high, 1)))


def test_nearest_reads_exactly_floor_p_h_over_H_for_every_pair_of_sizes_up_to_64():
    for low in range(1, 65):
        value = torch.arange(low, dtype=torch.float32).reshape(1, 1, 1, low)
        for high in range(1, 65):
            expected = [p * low // high for p in range(high)]
            assert upwell.ops.nearest(value, (1, high)).flatten().tolist() == expected, f"{low} to {high}"


# ReSFU FNS, CUDA: 36 atomics per output element, exit on a launch error, int32 indices, no CPU.
# bilinear backward on CUDA (torch): nondeterministic.


@pytest.mark.parametrize("problem", LARGE, ids=str)
def test_gradients_are_bit_identical_from_run_to_run(problem):
    tensors, cotangent = problem.tensors(torch.float32), problem.cotangent(torch.float32)
    _, first = problem.gradients(upwell.ops, tensors, cotangent)
    for _ in range(5):
        _, again = problem.gradients(upwell.ops, tensors, cotangent)
        assert all(torch.equal(a, b) for a, b in zip(first, again))


def test_gradients_pass_with_deterministic_algorithms_demanded():
    torch.use_deterministic_algorithms(True)
    try:
        for problem in LARGE:
            problem.gradients(upwell.ops, problem.tensors(torch.float32), problem.cotangent(torch.float32))
    finally:
        torch.use_deterministic_algorithms(False)


def test_an_error_is_an_exception_and_the_next_call_works():
    problem = Problem("fns")
    value, logits = problem.tensors()
    with pytest.raises(RuntimeError, match="fns: logits should be"):
        upwell.ops.fns(value, logits[:, 1:], 3)
    assert upwell.ops.fns(value, logits, 3).shape == problem.output_shape


# ReSFU, H/h not equal to scale_factor.


@pytest.mark.parametrize(
    "low, high, scale_factor", [((5, 7), (13, 16), 2), ((4, 6), (9, 11), 4), ((5, 7), (10, 14), 3)]
)
def test_fns_mixed_rule_masks_by_mask_ratio_and_reads_by_the_true_ratio(low, high, scale_factor):
    problem = Problem("fns", low, high, mask_ratio=scale_factor)
    output, (d_value, _) = problem.gradients(upwell.ops, problem.tensors(), problem.cotangent())
    assert_close(output, problem.run(loops, problem.tensors()), FLOAT64)
    expected = problem.cotangent()[0].flatten(1) @ fns_matrix(problem)
    assert_close(d_value, expected.reshape(d_value.shape), FLOAT64)


def test_fns_uses_one_rule_without_a_mask_ratio():
    for low, high in (((5, 7), (13, 16)), ((4, 6), (9, 11))):
        problem = Problem("fns", low, high)
        assert_close(
            problem.run(upwell.ops, problem.tensors()), problem.run(loops, problem.tensors()), FLOAT64
        )


def with_constant_scores(module: torch.nn.Module) -> torch.Tensor:
    """Makes a ReSFU's scores the same at every pixel; returns them, [K*K]."""
    with torch.no_grad():
        for block in (module.semantic_scores, module.detail_scores):
            block.channel_compressor[-1].weight.zero_()
    return (
        module.semantic_scores.channel_compressor[-1].bias + module.detail_scores.channel_compressor[-1].bias
    ).detach()


@pytest.mark.parametrize("low, high", [((5, 7), (13, 16)), ((5, 7), (10, 14))])
def test_resfu_masks_by_scale_factor_where_the_guide_does_not_fit_it(low, high):
    module = resfu(scale_factor=2)
    scores = with_constant_scores(module)
    y, x = resfu_inputs(low, high)
    logits = scores.reshape(1, -1, 1, 1).expand(1, -1, *high)
    assert_close(module(y, x), loops.fns(x, logits, 3, mask_ratio=2), FLOAT64)


# ReSFU gf_scale > 1: the filter is shifted.


@pytest.mark.parametrize("scale, shift", [(2, 0.5), (4, 1.5)])
def test_guided_filter_is_shifted_as_published_by_default_and_centred_on_demand(scale, shift):
    """With radius 0 the filter returns its input, subsampled and brought back: a ramp shows where to."""
    ramp = torch.arange(32, dtype=torch.float64).expand(1, 1, 32, 32).contiguous()
    guide = random(ramp.shape, torch.float64, 0)
    inside = slice(2 * scale, 32 - 2 * scale)
    for axis in (ramp, ramp.mT):
        published = GuidedFilter(0, 1e-3, 1, scale).double()(guide, axis) - axis
        centred = GuidedFilter(0, 1e-3, 1, scale, centred=True).double()(guide, axis) - axis
        assert_close(
            published[..., inside, inside], torch.full_like(published, -shift)[..., inside, inside], 1e-9
        )
        assert largest(centred[..., inside, inside]) < 1e-9


# ReSFU blur kernel: ignores .to(), .double(), a second device.


def test_resfu_computes_all_in_double_after_double():
    """Exact to 1e-9 of golden data, so no part has stayed in float32."""
    case = golden.load("resfu_full__r4_5x7_y16_x32", torch.float64)
    module = upwell.nn.ReSFU(**case.hyper)
    module.load_state_dict(case.state_dict)
    case.check_output(module.double()(*case.inputs.values()))


@published
def test_a_module_moves_to_another_device_and_dtype_with_all_its_parts(name):
    module = upwell.nn.make(name, 8, 12, 2).double().to("meta")
    y, x = (tensor.to("meta") for tensor in resfu_inputs())
    output = module(y, x)
    assert output.device.type == "meta" and output.dtype == torch.float64 and output.shape == (1, 8, 10, 14)
    back = module.to_empty(device="cpu").float()
    assert {tensor.dtype for tensor in back.state_dict().values()} == {torch.float32}
    assert back(*(tensor.float() for tensor in resfu_inputs())).dtype == torch.float32


@published
def test_a_deep_copy_and_a_state_dict_round_trip_compute_the_same(name):
    module = upwell.nn.make(name, 8, 12, 2).double()
    inputs = resfu_inputs()
    fresh = upwell.nn.make(name, 8, 12, 2).double()
    fresh.load_state_dict(module.state_dict(), strict=True)
    for again in (copy.deepcopy(module), fresh):
        assert torch.equal(again(*inputs), module(*inputs))


# ReSFU dims 33..63 and the like: GroupNorm(32, dim) raises.


@pytest.mark.parametrize(
    "dim, groups",
    [
        (33, 11),
        (34, 17),
        (36, 18),
        (37, 1),
        (45, 15),
        (48, 24),
        (62, 31),
        (63, 21),
        (3, 3),
        (16, 16),
        (31, 31),
        (32, 32),
        (64, 32),
        (100, 25),
        (384, 32),
    ],
)
def test_resfu_works_for_dims_33_to_63_with_the_largest_divisor_up_to_32_as_groups(dim, groups):
    module = upwell.nn.ReSFU(dim, dim, scale_factor=2)
    assert (module.norm_x.num_groups, module.norm_y.num_groups) == (groups, groups)
    assert module(torch.randn(1, dim, 6, 8), torch.randn(1, dim, 3, 4)).shape == (1, dim, 6, 8)


def test_resfu_works_for_every_dim_up_to_64():
    for dim in range(1, 65):
        upwell.nn.ReSFU(dim, scale_factor=2)


# ReSFU PCDC shared GroupNorm bias: its gradient cancels.


def test_pcdc_norm_bias_is_in_the_state_dict_and_changes_nothing():
    module = resfu()
    inputs = resfu_inputs()
    expected = module(*inputs)
    expected.sum().backward()
    for block in (module.semantic_scores, module.detail_scores):
        gradient = block.norm.bias.grad
        assert gradient is None or largest(gradient) <= 1e-10 * largest(block.norm.weight.grad)
        with torch.no_grad():
            block.norm.bias.add_(3.0)
    assert {"semantic_scores.norm.bias", "detail_scores.norm.bias"} <= set(module.state_dict())
    assert_close(module(*inputs), expected.detach(), 1e-10)


# ReSFU L: 128 in the code, 32 in the text.


def test_resfu_has_128_channels_by_default_and_32_in_the_layout_of_the_paper():
    for options, channels in (({}, 128), ({"layout": "paper"}, 32)):
        module = upwell.nn.ReSFU(32, 64, scale_factor=4, **options)
        assert module.semantic_scores.weight.shape == module.detail_scores.weight.shape == (channels, 8, 3, 3)


# torch.compile of ReSFU fails in the backward.


def test_torch_compile_of_resfu_works_in_one_graph_forward_and_backward():
    torch._dynamo.reset()
    module = resfu(scale_factor=4)
    y, x = (tensor.requires_grad_() for tensor in resfu_inputs((4, 5), (16, 20)))
    leaves = [y, x, *module.parameters()]
    outputs = [call(y, x) for call in (module, torch.compile(module, fullgraph=True))]
    eager, compiled = (
        torch.autograd.grad(output.square().sum(), leaves, allow_unused=True) for output in outputs
    )
    assert_close(outputs[1], outputs[0].detach(), 1e-9, "output")
    scale = max(largest(gradient) for gradient in eager if gradient is not None)
    for i, (actual, expected) in enumerate(zip(compiled, eager)):
        assert (actual is None) == (expected is None)
        if expected is not None:
            assert_close(actual, expected, 1e-9, f"gradient {i}", max(largest(expected), 1e-3 * scale))


# CARAFE, mmcv: channels_last silently wrong, float64 staged in float32, k*k*groups > 384 overruns its memory.


@pytest.mark.parametrize("operator", ["carafe", "carafe_reassembly", "fns", "bilinear", "nearest"])
def test_channels_last_input_gives_what_contiguous_input_gives(operator):
    problem = Problem(operator, n=2, channels=8)
    tensors, cotangent = problem.tensors(), problem.cotangent()
    expected_output, expected = problem.gradients(upwell.ops, tensors, cotangent)
    output, gradients = problem.gradients(
        upwell.ops, [channels_last(t) for t in tensors], channels_last(cotangent)
    )
    assert torch.equal(output, expected_output)
    assert all(torch.equal(a, b) for a, b in zip(gradients, expected))


@published
def test_a_module_in_channels_last_gives_what_contiguous_input_gives(name):
    module = upwell.nn.make(name, 8, 12, 2).double()
    inputs = resfu_inputs(n=2)
    expected = module(*inputs)
    module = module.to(memory_format=torch.channels_last)
    assert_close(module(*(channels_last(tensor) for tensor in inputs)), expected.detach(), 1e-12)


@pytest.mark.parametrize("operator", ["carafe", "carafe_reassembly"])
def test_carafe_is_not_staged_in_float32(operator):
    """float64 numbers that float32 cannot hold: in float32 this would be off by 1e-8 at least."""
    problem = Problem(operator, (6, 7), (12, 14), channels=4, kernel=5)
    tensors = [tensor + 1e-9 * torch.rand_like(tensor) for tensor in problem.tensors()]
    cotangent = problem.cotangent() + 1e-9 * torch.rand(problem.output_shape).double()
    expected_output, expected = problem.gradients(formula, tensors, cotangent)
    output, gradients = problem.gradients(upwell.ops, tensors, cotangent)
    assert_close(output, expected_output, 1e-13)
    for actual, gradient in zip(gradients, expected):
        assert_close(actual, gradient, 1e-12)


@pytest.mark.parametrize("kernel, groups", [(7, 8), (5, 16), (5, 32), (3, 43)])
@pytest.mark.parametrize("operator", ["carafe", "carafe_reassembly"])
def test_carafe_works_for_more_than_384_weights_per_pixel(operator, kernel, groups):
    assert kernel * kernel * groups > 384
    problem = Problem(operator, (4, 5), (8, 10), channels=2 * groups, kernel=kernel, groups=groups)
    tensors, cotangent = problem.tensors(), problem.cotangent()
    expected_output, expected = problem.gradients(formula, tensors, cotangent)
    output, gradients = problem.gradients(upwell.ops, tensors, cotangent)
    assert_close(output, expected_output, FLOAT64)
    for actual, gradient in zip(gradients, expected):
        assert_close(actual, gradient, FLOAT64)


# CARAFE borders: the weight of outside pixels is lost.


@pytest.mark.parametrize("low, high", [((6, 6), (12, 12)), ((5, 7), (13, 16))])
@pytest.mark.parametrize("kernel", [3, 5, 7])
def test_carafe_border_mask_keeps_a_constant_at_1(kernel, low, high):
    problem = Problem("carafe", low, high, channels=4, kernel=kernel, groups=2, border="mask")
    _, logits = problem.tensors()
    output = problem.run(upwell.ops, [torch.ones(1, 4, *low).double(), logits])
    assert_close(output, torch.ones_like(output), FLOAT64)


def test_carafe_border_zero_gives_0_36_in_a_corner_as_published():
    output = upwell.ops.carafe(torch.ones(1, 2, 6, 6), torch.zeros(1, 25, 12, 12), 5)
    assert output[0, 0, 0, 0].item() == pytest.approx(0.36, abs=1e-6)
    assert output[0, 0, 6, 6].item() == pytest.approx(1.0, abs=1e-6)


def test_the_carafe_module_takes_the_border_too():
    x = torch.ones(1, 8, 6, 6)
    assert_close(upwell.nn.CARAFE(8, 2, border="mask")(x), torch.ones(1, 8, 12, 12), 1e-6)
    assert upwell.nn.CARAFE(8, 2)(x)[0, 0, 0, 0].item() == pytest.approx(0.36, abs=0.02)


# SAPA borders: as CARAFE's. The published kernels build on no torch since 1.11, and run on CUDA alone.


@pytest.mark.parametrize("low, high", [((6, 6), (12, 12)), ((5, 7), (13, 16))])
@pytest.mark.parametrize("kernel", [3, 5, 7])
def test_sapa_border_mask_keeps_a_constant_at_1_and_zero_loses_weight_as_published(kernel, low, high):
    query, key = random((1, 4, *high), torch.float64, 1), random((1, 4, *low), torch.float64, 2)
    value = torch.ones(1, 3, *low).double()
    kept = upwell.ops.sapa_attention(value, query, key, kernel, "mask")
    assert_close(kept, torch.ones_like(kept), FLOAT64)
    lost = upwell.ops.sapa_attention(value, 0 * query, key, kernel)
    side = kernel // 2 + 1  # taps of a corner that are inside
    assert lost[0, 0, 0, 0].item() == pytest.approx(side**2 / kernel**2, abs=1e-12)


def test_the_sapa_modules_and_fade_take_the_border_too():
    y, ones = torch.randn(1, 12, 12, 12), torch.ones(1, 8, 6, 6)
    for module in (
        upwell.nn.SAPA(12, 8, border="mask"),
        upwell.nn.SAPAExp(12, 8, border="mask"),
        upwell.nn.FADE(12, 8, variant="ungated", border="mask"),
    ):
        assert_close(module(y, ones), torch.ones(1, 8, 12, 12), 1e-6)
    for module in (upwell.nn.SAPA(12, 8), upwell.nn.SAPAExp(12, 8), upwell.nn.FADE(12, 8, variant="ungated")):
        assert module(y, ones)[0, 0, 0, 0] < 0.9


# SAPA dims that 32 does not divide: GroupNorm(32, dim) raises.


@pytest.mark.parametrize("dim, groups", [(3, 3), (16, 16), (32, 32), (33, 11), (48, 24), (64, 32)])
def test_sapa_works_for_every_dim_with_the_largest_divisor_up_to_32_as_groups(dim, groups):
    module = upwell.nn.SAPA(dim)
    assert (module.norm_x.num_groups, module.norm_y.num_groups) == (groups, groups)
    assert module(torch.randn(1, dim, 6, 8), torch.randn(1, dim, 3, 4)).shape == (1, dim, 6, 8)


# FADE: H2L raises on input that is not square; its bias is added twice, so it equals L2H; both are for ratio 2 alone.

H2L_NAMES = {
    "gate_generator.conv.weight": "gate_generator.conv.weight",
    "gate_generator.conv.bias": "gate_generator.conv.bias",
    "kernel_generator.conv1_en.weight": "ker_generator.compressor_en.weight",
    "kernel_generator.conv1_en.bias": "ker_generator.compressor_en.bias",
    "kernel_generator.conv1_de.weight": "ker_generator.compressor_de.weight",
    "kernel_generator.conv2_kernels": "ker_generator.content_encoder.weight",
    "kernel_generator.conv2_bias": "ker_generator.content_encoder.bias",
}


@pytest.mark.parametrize(
    "low, high, scale", [((6, 6), (12, 12), 2), ((5, 7), (10, 14), 2), ((3, 5), (9, 15), 3), ((4, 5), (9, 13), None)]
)
def test_fade_h2l_takes_any_size_and_is_l2h(low, high, scale):
    l2h, h2l = (upwell.nn.FADE(8, scale=scale, variant=variant).double() for variant in ("l2h", "h2l"))
    with torch.no_grad():
        for i, parameter in enumerate(l2h.parameters()):
            parameter.copy_(random(parameter.shape, torch.float64, i))
    h2l.load_state_dict({name: l2h.state_dict()[other] for name, other in H2L_NAMES.items()}, strict=True)
    en, de = (random((2, 8, *size), torch.float64, i).requires_grad_() for i, size in enumerate((high, low)))
    outputs = [module(en, de) for module in (l2h, h2l)]
    assert_close(outputs[1], outputs[0].detach(), FLOAT64)
    gradients = [torch.autograd.grad(output.square().sum(), (en, de)) for output in outputs]
    for actual, expected in zip(*gradients):
        assert_close(actual, expected, 1e-11)


@pytest.mark.parametrize("variant", ["l2h", "h2l", "lite", "ungated"])
def test_fade_adds_its_bias_twice_as_published(variant):
    module = upwell.nn.FADE(8, variant=variant).double()
    generator = module.kernel_generator if variant == "h2l" else module.ker_generator
    en, de = random((1, 8, 10, 14), torch.float64, 1), random((1, 8, 5, 7), torch.float64, 2)
    before = generator(en, de)
    bias = generator.conv2_bias if variant == "h2l" else generator.content_encoder.bias
    with torch.no_grad():
        bias += torch.arange(25)
    twice = 2 * torch.arange(25, dtype=torch.float64)[:, None, None].expand(before.shape)
    assert_close(generator(en, de) - before, twice, FLOAT64)


# DySample: the grid is made in the dtype of the features; 8 bits of a bfloat16 do not tell cells apart beyond 128.


@pytest.mark.parametrize("style", ["lp", "pl"])
def test_dysample_in_bfloat16_reads_the_right_cells_beyond_128_pixels(style):
    torch.manual_seed(0)
    module = upwell.nn.DySample(8, style=style, groups=2).bfloat16()
    with torch.no_grad():
        module.offset.weight.normal_(std=0.3)
    x = torch.randn(1, 8, 3, 300).bfloat16()
    exact = upsamplers.dysample(copy.deepcopy(module).double(), x.double())
    own = (module(x).double() - exact).abs().amax((0, 1, 2))
    published = (upsamplers.dysample(module, x).double() - exact).abs().amax((0, 1, 2))
    assert own.max() < 0.03 * exact.abs().max()
    assert published[256:].max() > 0.3 * exact.abs().max()


# FeatUp's adaptive convolution: the published CUDA kernel's gradient of the filters reaches 7 of 49 taps.


def test_the_gradient_of_an_adaptive_convolution_reaches_all_49_taps():
    value, weight = random((1, 3, 6, 8), torch.float64, 1), random((1, 49, 6, 8), torch.float64, 2).requires_grad_()
    cotangent = random((1, 3, 6, 8), torch.float64, 3)
    (gradient,) = torch.autograd.grad(upwell.ops.adaptive_conv(value, weight, 7), weight, cotangent)
    windows = F.unfold(F.pad(value, [3] * 4, mode="reflect"), 7).reshape(1, 3, 49, 6, 8)
    assert_close(gradient, (windows * cotangent.unsqueeze(2)).sum(1), FLOAT64)
    assert (gradient.abs().amax((0, 2, 3)) > 0.1).all()


def test_bilinear_is_what_torch_computes():
    value = random((2, 3, 5, 7), torch.float64, 0)
    for size in ((10, 14), (13, 16), (3, 4), (1, 1)):
        assert_close(upwell.ops.bilinear(value, size), F.interpolate(value, size, mode="bilinear"), FLOAT64)


# WRC: the kernel is rolled by half the image, so that its data term explains an image shifted by half its size. (That the
# published closed form is not the minimiser: wrc_test.py.)


def explained(centre: str) -> torch.Tensor:
    """Every second pixel that WRC finds of samples which the kernel did not blur, under a prior of 0 with next to no
    weight; and the samples."""
    samples, kernel = random((1, 1, 6, 8), torch.float64, 1), torch.ones(1, 1, 1).double()
    precision = torch.full((1, 1, 12, 16), 1e-9).double()
    weight, prior = torch.ones_like(samples), torch.zeros_like(precision)
    X = torch.ops.upwell.wrc_spectral(precision, prior, weight, samples, kernel, 2, centre)
    return X[..., ::2, ::2], samples


def test_wrc_with_its_kernel_centred_explains_the_samples_where_they_are():
    assert_close(*explained("kernel"), 1e-6)


def test_wrc_as_published_explains_them_half_the_image_away():
    found, samples = explained("image")
    assert_close(found.roll((-3, -4), (2, 3)), samples, 1e-6)
