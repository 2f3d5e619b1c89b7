"""What a description may say of taps beside K x K of them: a list of offsets, borders that mirror or move taps inside, and a
bias of each tap."""

import itertools
import os

import pytest
import torch
import upwell
from torch import Tensor
from upwell.__main__ import main

from strangers import HEAD, random, write

pytestmark = [pytest.mark.xdist_group("new_operator"), pytest.mark.usefixtures("cache")]  # built once
on_processors = pytest.mark.skipif(
    "opencl" in os.environ.get("UPWELL_LIBRARY", ""), reason="what it is compared with has kernels for processors alone"
)

# Nobody published these, but that attending is UPLiFT's local attender, and moved NATTEN's neighbourhood attention.
OPERATORS = HEAD + """
UPWELL_OPERATOR(attending, "Attention to the cells at most two steps away.") {
    const Map value = low_res("value", "C");
    const Taps taps = taps_at({{-2, 0}, {-1, -1}, {-1, 0}, {-1, 1}, {0, -2}, {0, -1}, {0, 0}, {0, 1}, {0, 2}, {1, -1},
                               {1, 0}, {1, 1}, {2, 0}}, Grid::LowRes, Sampling::Nearest, Border::Replicate);
    return reassemble(value, softmax(tap_weights("logits", taps)), taps);
}

UPWELL_OPERATOR(starred, "Attention to the cells of a star, not to those outside, with a bias of each.") {
    const Map value = low_res("value", "C"), key = low_res("key", "C"), query = high_res("query", "C");
    const Taps taps = taps_at({{0, 0}, {-1, 1}, {1, -1}, {0, 2}}, Grid::LowRes, Sampling::Nearest, Border::Masked);
    return reassemble(value, softmax(dot(query, key, taps) + tap_bias("place", taps)), taps);
}

UPWELL_OPERATOR(mirrored, "Products with the cells around, those outside in mirrors, and a bias.") {
    const Map value = low_res("value", "C"), key = low_res("key", "D"), query = high_res("query", "D");
    const Taps taps{taps_per_side(3), Grid::LowRes, Sampling::Nearest, Border::Reflect};
    return reassemble(value, dot(query, key, taps, Groups::Any) + tap_bias("place", taps, Groups::Any), taps);
}
"""
MOVED = HEAD + """
UPWELL_OPERATOR(moved, "Neighbourhood attention with a relative position bias of each head.") {
    const Map value = low_res("value", "C"), key = low_res("key", "D"), query = high_res("query", "D");
    const Taps taps{taps_per_side(3), Grid::LowRes, Sampling::Nearest, Border::Inside};
    const TapBias place = tap_bias("place", taps, Groups::Any, "of each head and relative position");
    return reassemble(value, softmax(dot(query, key, taps, Groups::Any) + place), taps);
}
"""


@pytest.fixture(scope="module")
def listed(cache, tmp_path_factory):
    source = write(tmp_path_factory.mktemp("listed"), "listed.cpp", OPERATORS)
    operators = upwell.build(source, kernels=[3, 5], ratios=[2], dtypes=["float64"], progress=False)
    return {operator.__name__: operator for operator in operators}


@pytest.fixture(scope="module")
def moved(cache, tmp_path_factory):
    return upwell.build(write(tmp_path_factory.mktemp("moved"), "moved.cpp", MOVED), kernels=[3, 5], ratios=[2], progress=False)


def square(kernel: int) -> list[tuple[int, int]]:
    radius = kernel // 2
    return list(itertools.product(range(-radius, radius + 1), repeat=2))


DIAMOND = [offset for offset in square(5) if abs(offset[0]) + abs(offset[1]) <= 2]
STAR = [(0, 0), (-1, 1), (1, -1), (0, 2)]


def cells(offset: int, reach: int, low: int, high: int, border: str) -> tuple[Tensor, Tensor]:
    """Of each pixel of an axis the cell that a tap reads, and whether it is in the map."""
    places = []
    for p in range(high):
        own = p * low // high
        if border == "inside":
            own = min(max(own, reach), low - 1 - reach) if low > 2 * reach else low // 2
        places.append(own + offset)
    there = torch.tensor([0 <= place < low for place in places])
    if border == "reflect":
        for i, place in enumerate(places):
            while low > 1 and not 0 <= place < low:
                place = -place if place < 0 else 2 * (low - 1) - place
            places[i] = place if low > 1 else 0
    return torch.tensor(places).clamp(0, low - 1), there


def read(x: Tensor, offset: tuple[int, int], reach: int, size: tuple[int, int], border: str) -> tuple[Tensor, Tensor]:
    """x at a tap of each pixel, and whether that is in the map."""
    (rows, in_rows), (columns, in_columns) = (
        cells(offset[axis], reach, x.shape[2 + axis], size[axis], border) for axis in (0, 1)
    )
    there = in_rows[:, None] & in_columns[None, :]
    tap = x.index_select(2, rows).index_select(3, columns)
    return (tap * there if border in ("inside", "masked") else tap), there


def by_formula(value, scores, offsets, border, groups=1, softmax=True) -> Tensor:
    """scores: [N, groups*T, H, W]."""
    N, C, size = *value.shape[:2], scores.shape[2:]
    reach = max(abs(each) for offset in offsets for each in offset)
    taps = [read(value, offset, reach, size, border) for offset in offsets]
    weights = scores.reshape(N, groups, len(offsets), *size)
    if softmax:
        if border in ("inside", "masked"):
            weights = weights.masked_fill(~torch.stack([there for _, there in taps]), -torch.inf)
        weights = weights.softmax(2)
    values = torch.stack([tap.reshape(N, groups, C // groups, *size) for tap, _ in taps], 2)
    return (weights[:, :, :, None] * values).sum(2).reshape(N, C, *size)


def scores_by_formula(query, key, place, offsets, border, groups=1) -> Tensor:
    N, _, *size = query.shape
    reach = max(abs(each) for offset in offsets for each in offset)
    products = [
        (query * read(key, offset, reach, size, border)[0]).reshape(N, groups, -1, *size).sum(2) for offset in offsets
    ]
    return (torch.stack(products, 2) + place.reshape(1, groups, -1, 1, 1)).reshape(N, -1, *size)


def attending_by_formula(value, logits):
    return by_formula(value, logits, DIAMOND, "replicate")


def starred_by_formula(value, key, query, place):
    return by_formula(value, scores_by_formula(query, key, place, STAR, "masked"), STAR, "masked")


def mirrored_by_formula(value, key, query, place, kernel, groups=1):
    offsets = square(kernel)
    scores = scores_by_formula(query, key, place, offsets, "reflect", groups)
    return by_formula(value, scores, offsets, "reflect", groups, softmax=False)


def moved_by_formula(value, key, query, place, kernel, groups=1):
    offsets = square(kernel)
    return by_formula(value, scores_by_formula(query, key, place, offsets, "inside", groups), offsets, "inside", groups)


def maps(low, high, bias, n=2, channels=4, keys=6, dtype=torch.float64) -> list[Tensor]:
    shapes = [(n, channels, *low), (n, keys, *low), (n, keys, *high), bias]
    return [random(*shape, seed=seed, dtype=dtype) for seed, shape in enumerate(shapes)]


def assert_like_formula(operator, expected, tensors: list[Tensor], *options: int) -> None:
    results = []
    for function in (operator, expected):
        leaves = [x.detach().requires_grad_() for x in tensors]
        output = function(*leaves, *options)
        results.append([output, *torch.autograd.grad(output, leaves, random(*output.shape, seed=9))])
    for actual, wanted in zip(*results):
        torch.testing.assert_close(actual, wanted, rtol=1e-9, atol=1e-9)


SHAPES = [((3, 4), (6, 8)), ((6, 5), (12, 10)), ((3, 4), (7, 9)), ((1, 1), (2, 2)), ((1, 2), (4, 3)), ((7, 9), (5, 4))]
shapes = pytest.mark.parametrize("low, high", SHAPES, ids=str)


@shapes
@pytest.mark.parametrize("channels", [2, 20])
def test_taps_at_listed_offsets_equal_their_formula(listed, low, high, channels):
    tensors = [random(2, channels, *low, seed=1), random(2, 13, *high, seed=2)]
    assert_like_formula(listed["attending"], attending_by_formula, tensors)


@on_processors
@pytest.mark.parametrize("ratio", [1, 2, 3])
def test_a_described_local_attender_is_the_one_that_is_there(listed, ratio):
    tensors = [random(2, 5, 4, 6, seed=1), random(2, 13, 4 * ratio, 6 * ratio, seed=2)]
    assert_like_formula(listed["attending"], upwell.ops.local_attention, tensors)


@shapes
def test_listed_taps_outside_leave_the_softmax(listed, low, high):
    assert_like_formula(listed["starred"], starred_by_formula, maps(low, high, (4,), channels=6))


@shapes
@pytest.mark.parametrize("kernel, groups, keys", [(3, 1, 6), (5, 2, 6), (3, 2, 20)])
def test_a_border_shows_mirrors_and_a_bias_is_added(listed, low, high, kernel, groups, keys):
    tensors = maps(low, high, (groups, kernel * kernel), keys=keys)
    assert_like_formula(listed["mirrored"], mirrored_by_formula, tensors, kernel, groups)


@shapes
@pytest.mark.parametrize("kernel, groups, keys", [(3, 1, 6), (5, 2, 6), (3, 2, 20)])
def test_taps_move_inside_the_map(moved, low, high, kernel, groups, keys):
    tensors = maps(low, high, (groups, kernel * kernel), keys=keys)
    assert_like_formula(moved, moved_by_formula, tensors, kernel, groups)


@on_processors
@pytest.mark.parametrize("low, ratio", [((5, 7), 2), ((3, 4), 3), ((2, 6), 4), ((5, 5), 1)])
@pytest.mark.parametrize("kernel", [3, 5])
def test_moved_taps_without_a_bias_are_cross_attention(moved, low, ratio, kernel):
    value, key, query, place = maps(low, [ratio * size for size in low], (2, kernel * kernel))
    expected = upwell.ops.cross_attention(query * 3**0.5, key, value, 2, "shifted", kernel)
    torch.testing.assert_close(moved(value, key, query, 0 * place, kernel, 2), expected)


def test_gradients_pass_gradcheck(listed, moved):
    def check(operator, tensors, *options):
        assert torch.autograd.gradcheck(lambda *all: operator(*all, *options), [x.requires_grad_() for x in tensors])

    check(listed["attending"], [random(1, 2, 2, 3, seed=1), random(1, 13, 4, 6, seed=2)])
    check(listed["starred"], maps((2, 3), (4, 6), (4,), n=1, channels=2, keys=2))
    check(listed["mirrored"], maps((2, 3), (4, 6), (2, 9), n=1, channels=2, keys=2), 3, 2)
    check(moved, maps((2, 3), (3, 5), (2, 9), n=1, channels=2, keys=2), 3, 2)


def test_they_are_differentiated_twice(listed, moved):
    tensors = [x.requires_grad_() for x in maps((2, 2), (3, 4), (1, 9), n=1, channels=2, keys=2)]
    assert torch.autograd.gradgradcheck(lambda *all: listed["mirrored"](*all, 3), tensors)
    tensors = [x.requires_grad_() for x in maps((2, 3), (3, 5), (1, 9), n=1, channels=2, keys=2)]
    assert torch.autograd.gradgradcheck(lambda *all: moved(*all, 3), tensors)
    tensors = [random(1, 2, 2, 3, seed=1).requires_grad_(), random(1, 13, 4, 6, seed=2).requires_grad_()]
    assert torch.autograd.gradgradcheck(listed["attending"], tensors)


def test_a_map_of_few_cells_and_a_large_logit_of_a_cell_that_is_not_there(moved):
    value, key, query, place = maps((2, 2), (4, 4), (1, 25))
    place = torch.full_like(place, 1000.0)
    place[0, [6, 7, 11, 12]] = 0  # the four cells that there are
    expected = moved_by_formula(value, key, query, place, 5)
    assert expected.isfinite().all()
    torch.testing.assert_close(moved(value, key, query, place, 5), expected)


def test_the_gradient_of_a_bias_has_the_same_bits_every_time(moved):
    def run() -> list[Tensor]:
        tensors = maps((16, 17), (32, 34), (4, 9), channels=32, keys=32, dtype=torch.float32)
        tensors = [x.requires_grad_() for x in tensors]
        return list(torch.autograd.grad(moved(*tensors, 3, 4).square().sum(), tensors))

    first = run()
    torch.set_num_threads(1)
    assert all(torch.equal(a, b) for a, b in zip(run(), first))
    exact = [x.double().requires_grad_() for x in maps((16, 17), (32, 34), (4, 9), channels=32, keys=32, dtype=torch.float32)]
    wanted = torch.autograd.grad(moved_by_formula(*exact, 3, 4).square().sum(), exact)
    for actual, expected in zip(first, wanted):
        torch.testing.assert_close(actual.double(), expected, rtol=1e-4, atol=1e-4 * expected.abs().max().item())


def test_a_bias_may_be_float32_beside_16_bits_and_is_so_under_autocast(moved):
    tensors = [x.requires_grad_() for x in maps((3, 4), (6, 8), (2, 9), dtype=torch.float32)]
    expected = moved(*tensors, 3, 2)
    with torch.autocast("cpu", torch.bfloat16):
        output = moved(*tensors, 3, 2)
        scores = torch.ops.upwell.moved_scores(tensors[2], tensors[1], tensors[3], 3, 2)
    assert (output.dtype, scores.dtype) == (torch.bfloat16, torch.float32)
    torch.testing.assert_close(output.float(), expected, rtol=0.1, atol=0.1)
    narrow = moved(*(x.bfloat16() for x in tensors[:3]), tensors[3], 3, 2)
    torch.testing.assert_close(narrow.float(), expected, rtol=0.1, atol=0.1)
    gradients = torch.autograd.grad(output.float().sum(), tensors)
    assert [g.dtype for g in gradients] == [torch.float32] * 4
    all_narrow = [x.detach().bfloat16().requires_grad_() for x in tensors]
    gradients = torch.autograd.grad(moved(*all_narrow, 3, 2).sum(), all_narrow)
    assert [g.dtype for g in gradients] == [torch.bfloat16] * 4


def test_an_empty_batch_gives_an_empty_result_and_a_bias_no_gradient(moved):
    tensors = [x.requires_grad_() for x in maps((3, 4), (6, 8), (1, 9), n=0)]
    output = moved(*tensors, 3)
    assert output.shape == (0, 4, 6, 8)
    gradients = torch.autograd.grad(output.sum(), tensors)
    assert [g.shape for g in gradients] == [x.shape for x in tensors]
    assert torch.equal(gradients[3], torch.zeros(1, 9, dtype=torch.float64))


def test_a_meta_tensor_has_the_shape_of_the_result(listed, moved):
    assert moved(*(x.to("meta") for x in maps((3, 4), (6, 8), (1, 9))), 3).shape == (2, 4, 6, 8)
    logits = torch.empty(2, 13, 7, 9, device="meta")
    assert listed["attending"](torch.empty(2, 4, 3, 4, device="meta"), logits).shape == (2, 4, 7, 9)


@pytest.mark.parametrize("name", ["moved_scores", "moved_scores_d_place", "starred_scores", "starred_scores_d_place"])
def test_opcheck_passes_on_what_has_a_bias(listed, moved, name):
    bias, options = ((2, 9), (3, 2)) if name.startswith("moved") else ((4,), ())
    _, key, query, place = maps((3, 4), (6, 8), bias, n=1)
    arguments = (query, key, place, *options)
    if name.endswith("_d_place"):
        scores = torch.ops.upwell.__getattr__(name.removesuffix("_d_place"))(*arguments)
        arguments = (scores, *options[1:])
    arguments = [x.requires_grad_() if isinstance(x, Tensor) else x for x in arguments]
    torch.library.opcheck(getattr(torch.ops.upwell, name).default, arguments)


def test_it_compiles_whole_for_any_size(listed, moved):
    def both(value, key, query, place, other, logits):
        return moved(value, key, query, place, 3, 2), listed["attending"](other, logits)

    def total(outputs):
        return outputs[0].square().sum() + outputs[1].sum()

    compiled = torch.compile(both, fullgraph=True, dynamic=True)
    for high in ((6, 8), (7, 9)):
        tensors = [*maps((3, 4), high, (2, 9)), random(2, 4, 3, 4, seed=6), random(2, 13, *high, seed=5)]
        tensors = [x.requires_grad_() for x in tensors]
        actual = torch.autograd.grad(total(compiled(*tensors)), tensors)
        expected = torch.autograd.grad(total(both(*tensors)), tensors)
        for a, b in zip(actual, expected):
            torch.testing.assert_close(a, b)


@pytest.mark.parametrize(
    "change, words",
    [
        ({"place": random(2, 25)}, ["moved: place should be [2, 9]", "[2, 25]"]),
        ({"place": random(18)}, ["moved: place", "[18]"]),
        ({"place": random(2, 9).float()}, ["moved: place should be", "Double", "Float"]),
        ({"query": random(2, 0, 6, 8), "key": random(2, 0, 3, 4)}, ["moved: query should have channels", "[2, 0, 6, 8]"]),
        ({"kernel": 7}, ["moved: kernel should be one of [3, 5]", "7"]),
    ],
    ids=["taps", "rank", "dtype", "channels", "kernel"],
)
def test_bad_input_is_refused_with_names_and_shapes(moved, change, words):
    arguments = dict(zip(("value", "key", "query", "place"), maps((3, 4), (6, 8), (2, 9)))) | {"kernel": 3, "groups": 2}
    with pytest.raises(RuntimeError) as caught:
        moved(**arguments | change)
    for word in words:
        assert word.lower() in str(caught.value).lower()


def test_a_listed_number_of_taps_is_part_of_the_shape(listed):
    with pytest.raises(RuntimeError, match=r"attending: logits should be \[2, 13, 6, 8\] but is \[2, 25, 6, 8\]"):
        listed["attending"](random(2, 4, 3, 4), random(2, 25, 6, 8))


def test_texts_and_inspect_say_what_there_is(listed, moved, capsys):
    assert "logits: [N, 13, H, W]" in listed["attending"].__doc__
    assert "place: [G, K*K]: of each head and relative position" in moved.__doc__
    main(["inspect", "--load", str(moved.library), "moved", "--ratio", "2"])
    text = capsys.readouterr().out
    assert "softmax of query . key + bias" in text and "inside" in text
    main(["inspect", "--load", str(listed["attending"].library), "attending", "--ratio", "2"])
    text = capsys.readouterr().out
    assert "[N, 13, H, W]" in text and "5 x 5" in text
    main(["inspect", "--load", str(listed["attending"].library), "attending", "--ratio", "2", "--matrix"])
    assert "cell +2" in capsys.readouterr().out
