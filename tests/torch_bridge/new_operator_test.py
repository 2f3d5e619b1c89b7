"""Operators that somebody else describes: their values and gradients, in every way that torch calls them."""

import inspect

import pytest
import torch
import torch.nn.functional as F
import upwell
from reference import formula
from torch import Tensor, nn
from torch.func import grad, jvp, vmap

from strangers import HEAD, kindred_by_formula, random, sample, write

pytestmark = [pytest.mark.xdist_group("new_operator"), pytest.mark.usefixtures("cache")]  # built once

SMOOTHED = HEAD + """
UPWELL_OPERATOR(smoothed, "A weighted sum of bicubic samples.") {
    const Taps taps{taps_per_side(3), Grid::LowRes, Sampling::Bicubic, Border::Replicate};
    const Map value = low_res("value", "C");
    return reassemble(value, tap_weights("share", taps), taps);
}
"""


EDGES = HEAD + """
UPWELL_OPERATOR(edged, "Bilinear samples; those outside the area of the low-res map leave the softmax.") {
    const Taps taps{taps_per_side(3), Grid::LowRes, Sampling::Bilinear, Border::Masked};
    const Map value = low_res("value", "C");
    return reassemble(value, softmax(tap_weights("logits", taps)), taps);
}

UPWELL_OPERATOR(blurred, "A sampling that is no interpolation: the mean of three cells.") {
    constexpr double third = 1 / 3.0;
    constexpr Sampling three{false, -1, 3, {{{third}, {third}, {third}}}};
    return sample(low_res("value", "C"), Grid::LowRes, three, Border::Replicate);
}
"""


@pytest.fixture(scope="module")
def smoothed(tmp_path_factory):
    source = write(tmp_path_factory.mktemp("smoothed"), "smoothed.cpp", SMOOTHED)
    return upwell.build(source, kernels=[1, 3], dtypes=["float64"], progress=False)


@pytest.fixture(scope="module")
def edges(tmp_path_factory):
    source = write(tmp_path_factory.mktemp("edges"), "edges.cpp", EDGES)
    return upwell.build(source, kernels=[1, 3], ratios=[2], dtypes=["float64"], progress=False)


SHAPES = [((3, 4), (6, 8)), ((3, 4), (7, 9)), ((1, 1), (2, 2)), ((1, 5), (4, 3)), ((5, 3), (5, 3))]


@pytest.mark.parametrize("low, high", SHAPES, ids=str)
@pytest.mark.parametrize("groups", [1, 2])
def test_a_described_operator_equals_its_formula_and_so_do_its_gradients(kindred, low, high, groups):
    for keys in (6, 20):
        tensors = [x.requires_grad_() for x in sample(low, high, keys=keys)]
        cotangent = random(2, 4, *high, seed=4)
        results = []
        for operator in (kindred, kindred_by_formula):
            output = operator(*tensors, 3, groups)
            results.append([output, *torch.autograd.grad(output, tensors, cotangent)])
        for actual, expected in zip(*results):
            torch.testing.assert_close(actual, expected, rtol=1e-9, atol=1e-9)


def test_its_gradients_pass_gradcheck(kindred):
    tensors = [x.requires_grad_() for x in sample((2, 3), (4, 6), n=1, channels=2, keys=4)]
    assert torch.autograd.gradcheck(lambda *all: kindred(*all, 3, 2), tensors)


def test_it_and_its_products_are_differentiated_twice(kindred):
    value, key, query = (x.requires_grad_() for x in sample((2, 2), (3, 4), n=1, channels=2, keys=2))
    assert torch.autograd.gradgradcheck(lambda *all: torch.ops.upwell.kindred_scores(*all, 3), [query, key])
    assert torch.autograd.gradgradcheck(lambda *all: kindred(*all, 3, 2), [value, key, query])


def test_transforms_of_torch_func_give_what_they_give_of_its_formula(kindred):
    tensors, along = sample((2, 3), (4, 6), n=1, keys=4), [x.cos() for x in sample((2, 3), (4, 6), n=1, keys=4)]

    def of(call):
        def loss(*given):
            return call(*given, 3, 2).square().sum()

        first = grad(loss, (0, 1, 2))
        batches = [torch.stack([x, 1.1 * x]) for x in tensors]
        _, tangent = jvp(lambda *given: call(*given, 3, 2), tuple(tensors), tuple(along))
        _, second = jvp(first, tuple(tensors), tuple(along))
        mapped = vmap(lambda *given: call(*given, 3, 2))(*batches)
        return [*first(*tensors), tangent, *second, mapped, *vmap(first)(*batches)]

    for actual, expected in zip(of(kindred), of(kindred_by_formula), strict=True):
        torch.testing.assert_close(actual, expected, rtol=1e-9, atol=1e-9)
    both = [torch.stack([x, x]) for x in tensors]
    weights = vmap(lambda *given: kindred(*given, 3, 2, return_weights=True)[1])(*both)
    torch.testing.assert_close(weights[1], kindred(*tensors, 3, 2, return_weights=True)[1])


@pytest.mark.parametrize("high", [(7, 9), (6, 8)])
def test_float32_is_as_close_as_it_should_be(kindred, high):
    exact = kindred_by_formula(*sample(high=high), 3)
    actual = kindred(*sample(high=high, dtype=torch.float32), 3)
    assert actual.dtype == torch.float32 and (actual - exact).abs().max() < 1e-5


def test_every_layout_gives_the_same(kindred):
    tensors = sample()
    expected = kindred(*tensors, 3)
    for change in (lambda x: x.contiguous(memory_format=torch.channels_last), lambda x: x.mT.contiguous().mT):
        assert torch.equal(kindred(*map(change, tensors), 3), expected)


def test_an_empty_batch_gives_an_empty_result_and_gradients(kindred):
    tensors = [x.requires_grad_() for x in sample(n=0)]
    output = kindred(*tensors, 3)
    assert output.shape == (0, 4, 6, 8)
    assert [g.shape for g in torch.autograd.grad(output.sum(), tensors)] == [x.shape for x in tensors]


def test_a_meta_tensor_has_the_shape_of_the_result(kindred):
    assert kindred(*(x.to("meta") for x in sample()), 3).shape == (2, 4, 6, 8)


def test_autocast_keeps_weights_in_float32(kindred):
    tensors = sample(dtype=torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        scores = torch.ops.upwell.kindred_scores(tensors[2], tensors[1], 3)
        output = kindred(*tensors, 3)
    assert (scores.dtype, output.dtype) == (torch.float32, torch.bfloat16)
    torch.testing.assert_close(output.float(), kindred(*tensors, 3), rtol=0.1, atol=0.1)


@pytest.mark.parametrize("name", ["kindred_scores", "kindred_scores_d_query", "kindred_scores_d_key", "kindred_sum",
                                  "kindred_sum_d_value", "kindred_sum_d_scores"])
def test_opcheck_passes_on_what_the_operator_consists_of(kindred, name):
    value, key, query = sample(n=1)
    scores = torch.ops.upwell.kindred_scores(query, key, 3)
    d_output = random(1, 4, 6, 8, seed=5)
    arguments = {
        "kindred_scores": (query, key, 3),
        "kindred_scores_d_query": (key, scores, 3),
        "kindred_scores_d_key": (query, scores, 3, 4, 3),
        "kindred_sum": (value, scores, 3),
        "kindred_sum_d_value": (d_output, scores, 3, 4, 3),
        "kindred_sum_d_scores": (d_output, value, scores, 3),
    }[name]
    differentiable = not name.endswith("_d_scores")
    arguments = [x.requires_grad_(differentiable) if isinstance(x, Tensor) else x for x in arguments]
    torch.library.opcheck(getattr(torch.ops.upwell, name).default, arguments)


def test_it_compiles_whole_for_any_size(kindred):
    compiled = torch.compile(lambda *all: kindred(*all, 3).square().sum(), fullgraph=True, dynamic=True)
    for high in ((6, 8), (7, 9)):
        tensors = [x.requires_grad_() for x in sample(high=high)]
        actual = torch.autograd.grad(compiled(*tensors), tensors)
        expected = torch.autograd.grad(kindred(*tensors, 3).square().sum(), tensors)
        for a, b in zip(actual, expected):
            torch.testing.assert_close(a, b)


def test_results_have_the_same_bits_every_time(kindred):
    def run() -> list[Tensor]:
        tensors = [x.requires_grad_() for x in sample((16, 17), (32, 34), channels=32, keys=32, dtype=torch.float32)]
        return list(torch.autograd.grad(kindred(*tensors, 3).square().sum(), tensors))

    first = run()
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        assert all(torch.equal(a, b) for a, b in zip(run(), first))
    finally:
        torch.set_num_threads(threads)


def test_a_model_with_it_trains(kindred):
    torch.manual_seed(0)
    guide = F.avg_pool2d(random(2, 3, 32, 32, seed=6, dtype=torch.float32), 3, 1, 1)
    target = guide.mean(1, keepdim=True).sign()
    low = F.avg_pool2d(target, 4)
    to_query, to_key = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(3, 8, 3, padding=1)
    optimizer = torch.optim.Adam([*to_query.parameters(), *to_key.parameters()], lr=3e-2)
    losses = []
    for _ in range(60):
        output = kindred(low, to_key(F.avg_pool2d(guide, 4)), to_query(guide), 3)
        loss = (output - target).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]


def test_it_is_a_function_with_names_types_and_a_text(kindred):
    assert upwell.ops.kindred is kindred
    assert str(inspect.signature(kindred)).startswith("(value: torch.Tensor, key: torch.Tensor, query: torch.Tensor, ker")
    assert "value: [N, C, h, w]: what is upsampled" in kindred.__doc__
    by_name = kindred(**dict(zip(("value", "key", "query"), sample())), kernel=3)
    assert torch.equal(by_name, kindred(*sample(), 3))


@pytest.mark.parametrize(
    "change, words",
    [
        ({"value": random(2, 4, 3)}, ["kindred: value", "[2, 4, 3]"]),
        ({"query": random(2, 5, 6, 8)}, ["kindred: key should be [2, 5, 3, 4]", "[2, 6, 3, 4]"]),
        ({"query": random(1, 6, 6, 8)}, ["kindred: query should be [2, 6, 6, 8]", "[1, 6, 6, 8]"]),
        ({"key": random(2, 6, 4, 3)}, ["kindred: key should be [2, 6, 3, 4]", "[2, 6, 4, 3]"]),
        ({"kernel": 7}, ["kindred: kernel should be one of [3]", "7"]),
        ({"groups": 4}, ["kindred: groups should divide the 6 channels", "4"]),
        ({"key": random(2, 6, 3, 4).float()}, ["kindred: key should be", "Double", "Float"]),
        ({"value": random(2, 4, 3, 4).float()}, ["kindred: value should be", "Double", "Float"]),
    ],
    ids=["rank", "channels", "batch", "size", "kernel", "groups", "dtype", "value"],
)
def test_bad_input_is_refused_with_names_and_shapes(kindred, change, words):
    arguments = dict(zip(("value", "key", "query"), sample())) | {"kernel": 3} | change
    with pytest.raises(RuntimeError) as caught:
        kindred(**arguments)
    for word in words:
        assert word.lower() in str(caught.value).lower()


def cubic(x: Tensor, axis: int, size: int, offset: int) -> Tensor:
    """x along an axis at u(p) + offset: cubic convolution, a = -3/4, replicate border."""
    length = x.shape[axis]
    numerator = (2 * torch.arange(size) + 1) * length - size
    base = numerator.div(2 * size, rounding_mode="floor")
    fraction = (numerator - 2 * size * base).to(x.dtype) / (2 * size)

    def weight(distance: Tensor) -> Tensor:
        d, a = distance.abs(), -0.75
        near, far = (a + 2) * d**3 - (a + 3) * d**2 + 1, a * d**3 - 5 * a * d**2 + 8 * a * d - 4 * a
        return torch.where(d <= 1, near, far)

    return sum(
        formula._along(weight(fraction - j), axis) * x.index_select(axis, (base + offset + j).clamp(0, length - 1))
        for j in range(-1, 3)
    )


@pytest.mark.parametrize("low, high", SHAPES, ids=str)
def test_bicubic_samples_and_their_gradients_equal_their_formula(smoothed, low, high):
    tensors = [random(2, 3, *low, seed=1).requires_grad_(), random(2, 9, *high, seed=2).requires_grad_()]
    cotangent = random(2, 3, *high, seed=3)
    outputs = [smoothed(*tensors, 3), formula._sum_of_samples(*tensors, 3, cubic)]
    gradients = [torch.autograd.grad(output, tensors, cotangent) for output in outputs]
    torch.testing.assert_close(outputs[0], outputs[1])
    torch.testing.assert_close(gradients[0], gradients[1])


def test_one_bicubic_sample_is_torchs_interpolation(smoothed):
    value = random(2, 3, 5, 7)
    for size in ((11, 13), (10, 14)):
        expected = F.interpolate(value, size, mode="bicubic", align_corners=False)
        torch.testing.assert_close(smoothed(value, torch.ones(2, 1, *size, dtype=torch.float64), 1), expected)


@pytest.mark.parametrize("low, high", [(5, 10), (5, 12), (4, 7), (1, 3), (6, 4)])
def test_a_masked_border_of_low_res_taps_is_the_same_on_every_side(edges, low, high):
    edged, _ = edges
    for kernel in (1, 3):
        value = random(1, 2, low, low + 1, seed=1)
        logits = random(1, kernel * kernel, high, high + 2, seed=2)
        turned = edged(value.flip(2, 3), logits.flip(1, 2, 3), kernel).flip(2, 3)
        output = edged(value, logits, kernel)
        assert output.isfinite().all()
        torch.testing.assert_close(turned, output)
        ones = edged(torch.ones_like(value), logits, kernel)
        torch.testing.assert_close(ones, torch.ones_like(ones))
    # A tap is inside where it lies in the area of the cells.
    position = (torch.arange(high, dtype=torch.float64) + 0.5) * low / high - 0.5
    first = edged(torch.eye(low, dtype=torch.float64)[None, :, :, None], torch.zeros(1, 9, high, 1).double(), 3)[0, :, :, 0]
    for p in range(high):
        taps = [position[p] + offset for offset in (-1, 0, 1)]
        inside = [t.clamp(0, low - 1) for t in taps if -0.5 - 1e-9 <= t <= low - 0.5 + 1e-9]
        expected = sum((1 - (t - torch.arange(low)).abs()).clamp(min=0) for t in inside) / len(inside)
        torch.testing.assert_close(first[:, p], expected)


def test_a_sampling_that_is_no_interpolation_is_applied_at_the_same_size_too(edges):
    _, blurred = edges
    value = random(1, 1, 4, 5, seed=1).requires_grad_()
    padded = F.pad(value, (1, 1, 1, 1), mode="replicate")
    expected = F.avg_pool2d(padded, 3, 1)
    torch.testing.assert_close(blurred(value, (4, 5)), expected)
    cotangent = random(1, 1, 4, 5, seed=2)
    actual, by_torch = (torch.autograd.grad(y, value, cotangent)[0] for y in (blurred(value, (4, 5)), expected))
    torch.testing.assert_close(actual, by_torch)
