"""Operators that somebody else describes: built, loaded, differentiated, trained with, and refused where they are wrong."""

import inspect
import itertools
import os
import pathlib
import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F
import upwell
from reference import formula
from torch import Tensor, nn

from upwell.__main__ import main

BUILD = pathlib.Path(__file__).parents[2] / "build" / "cpu"
pytestmark = pytest.mark.xdist_group("new_operator")  # what is built is built once
on_processors = pytest.mark.skipif("UPWELL_LIBRARY" in os.environ, reason="the CMake package compiles for processors")

HEAD = "#include <upwell/operator.h>\n\nusing namespace upwell;\n\n"
# Nobody published these.
KINDRED = HEAD + """
UPWELL_OPERATOR(kindred, "Each pixel takes from the bilinear samples that are like it, in each group of channels.") {
    const Map value = low_res("value", "C", "what is upsampled"), key = low_res("key", "D");
    const Map query = high_res("query", "D");
    const Taps taps{taps_per_side(3), Grid::HighRes, Sampling::Bilinear, Border::Masked};
    return reassemble(value, softmax(dot(query, key, taps, Groups::Any)), taps);
}
"""
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


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("UPWELL_CACHE", str(folder))
        yield folder


def write(folder: pathlib.Path, name: str, text: str) -> pathlib.Path:
    file = folder / name
    file.write_text(text)
    return file


@pytest.fixture(scope="module")
def kindred(tmp_path_factory):
    source = write(tmp_path_factory.mktemp("kindred"), "kindred.cpp", KINDRED)
    return upwell.build(source, kernels=[3], ratios=[2], progress=False)


@pytest.fixture(scope="module")
def smoothed(tmp_path_factory):
    source = write(tmp_path_factory.mktemp("smoothed"), "smoothed.cpp", SMOOTHED)
    return upwell.build(source, kernels=[1, 3], dtypes=["float64"], progress=False)


@pytest.fixture(scope="module")
def edges(tmp_path_factory):
    source = write(tmp_path_factory.mktemp("edges"), "edges.cpp", EDGES)
    return upwell.build(source, kernels=[1, 3], ratios=[2], dtypes=["float64"], progress=False)


def random(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def scores_by_formula(query: Tensor, key: Tensor, kernel: int) -> Tensor:
    """[N, K*K, H, W] of one group."""
    radius, (H, W) = kernel // 2, query.shape[2:]
    taps = [
        formula._read_bilinear(formula._read_bilinear(key, 2, H, row), 3, W, column)
        for row, column in itertools.product(range(-radius, radius + 1), repeat=2)
    ]
    return torch.stack([(query * tap).sum(1) for tap in taps], 1)


def kindred_by_formula(value: Tensor, key: Tensor, query: Tensor, kernel: int, groups: int = 1) -> Tensor:
    split = [x.reshape(x.shape[0] * groups, x.shape[1] // groups, *x.shape[2:]) for x in (value, key, query)]
    output = formula.fns(split[0], scores_by_formula(split[2], split[1], kernel), kernel)
    return output.reshape(*value.shape[:2], *query.shape[2:])


def sample(low=(3, 4), high=(6, 8), n=2, channels=4, keys=6, dtype=torch.float64) -> list[Tensor]:
    return [
        random(n, channels, *low, seed=1, dtype=dtype),
        random(n, keys, *low, seed=2, dtype=dtype),
        random(n, keys, *high, seed=3, dtype=dtype),
    ]


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


def test_products_are_differentiated_twice(kindred):
    _, key, query = (x.requires_grad_() for x in sample((2, 2), (3, 4), n=1, keys=2))
    assert torch.autograd.gradgradcheck(lambda *all: torch.ops.upwell.kindred_scores(*all, 3), [query, key])


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


def test_what_was_built_is_kept_and_taken_again(kindred, cache):
    kept = {file: file.stat().st_mtime_ns for file in cache.rglob("*.so")}
    assert any(file.name == "libkindred.so" for file in kept)
    script = f"""
        import pathlib, sys, upwell
        source = pathlib.Path(sys.argv[1])
        operator = upwell.build(source, kernels=[3], ratios=[2], progress=False)
        print(operator.__name__)
    """
    source = write(cache, "kindred.cpp", KINDRED)
    ran = subprocess.run(
        [sys.executable, "-c", "import textwrap; exec(textwrap.dedent(" + repr(script) + "))", str(source)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout.split() == ["kindred"]
    assert {file: file.stat().st_mtime_ns for file in cache.rglob("*.so")} == kept


BODY = """
    const Map value = low_res("value", "C"), key = low_res("key", "D"), query = high_res("query", "D");
    const Taps taps{taps_per_side(3), Grid::LowRes, Sampling::Nearest, Border::Zero};
"""


@pytest.mark.parametrize(
    "body, kernels, message",
    [
        (BODY + "return reassemble(value, dot(query, key, taps), taps);", [4],
         "wrong: taps per side should be odd and positive but are 4"),
        (BODY + "return reassemble(value, dot(query, Map{}, taps), taps);", [], "wrong: dot: key is no map of this operator"),
        (BODY + "return reassemble(value, softmax(softmax(dot(query, key, taps))), taps);", [],
         "wrong: softmax: these weights are a softmax already"),
        (BODY + 'return reassemble(value, dot(high_res("guide", "E"), key, taps), taps);', [],
         "wrong: dot: guide has E channels and key has D"),
        (BODY + "return softmax(dot(query, key, taps));", [], "wrong: weights alone make no map"),
        (BODY + "return reassemble(query, dot(query, key, taps), taps);", [],
         "wrong: reassemble: value should be a low_res map but query is not"),
        (BODY + 'return reassemble(value, tap_weights("logits", taps), taps);', [], "wrong: key is not used"),
        ('return sample(low_res("kernel", "C"), Grid::LowRes, Sampling::Nearest, Border::Zero);', [],
         "wrong: a map may not be called kernel"),
        ('return sample(low_res("lambda", "C"), Grid::LowRes, Sampling::Nearest, Border::Zero);', [],
         "wrong: lambda is a word of Python"),
        ('return sample(low_res("x", "N"), Grid::LowRes, Sampling::Nearest, Border::Zero);', [],
         "wrong: x: the channels should have a name, and not that of another size"),
        ('return sample(low_res("x", "C"), Grid::LowRes, Sampling::Nearest, Border::Masked);', [],
         "wrong: a masked border leaves taps out of a softmax, and there is none"),
        (BODY.replace("Border::Zero", "Border::Masked") + "return reassemble(value, dot(query, key, taps), taps);", [],
         "wrong: a masked border leaves taps out of a softmax, and there is none"),
        (BODY + """const Taps masked{taps.kernel, Grid::LowRes, Sampling::Nearest, Border::Masked};
         return reassemble(value, softmax(dot(query, key, masked)), taps);""", [], "should be masked too"),
        (BODY.replace("taps_per_side(3)", "3") + "return reassemble(value, dot(query, key, taps), taps);", [],
         "wrong: taps per side should be 1, or taps_per_side(), but are 3"),
        ("const Sampling five{true, 0, 5, {}}; return sample(low_res(\"x\", \"C\"), Grid::LowRes, five, Border::Zero);", [],
         "wrong: a sampling should read 1 .. 4 cells, at most 16 away, but reads 5 from 0 on"),
        (BODY + 'border({{"a", Border::Zero, ""}, {"a", Border::Masked, "_m"}});'
         "return reassemble(value, dot(query, key, taps), taps);", [], "wrong: border: every choice should have a name"),
        (BODY + 'border({{"a", Border::Zero, "_d_value"}});'
         "return reassemble(value, dot(query, key, taps), taps);", [], "wrong: border: every choice should have a name"),
        ("throw 5;", [], "wrong: the description throws what is no exception"),
        ("return reassemble(value);", [], "wrong.cpp:6"),
    ],
    ids=["even", "unknown", "softmaxes", "sizes", "value", "high-res", "unused", "name", "keyword", "channels",
         "masked sample", "masked sum", "masked dot", "fixed", "sampling", "choices", "suffix", "throws", "compiler"],
)
def test_a_wrong_description_is_refused_with_what_is_wrong(tmp_path, body, kernels, message):
    source = write(tmp_path, "wrong.cpp", HEAD + 'UPWELL_OPERATOR(wrong, "") {\n' + body + "\n}\n")
    with pytest.raises(upwell.BuildError) as caught:
        upwell.build(source, kernels=kernels, progress=False)
    assert message in str(caught.value)


def test_a_name_that_is_taken_is_refused(tmp_path):
    text = HEAD + 'UPWELL_OPERATOR(fns, "") {\n' + BODY + "return reassemble(value, dot(query, key, taps), taps);\n}\n"
    with pytest.raises(upwell.BuildError, match="fns: there is an operator of this name already"):
        upwell.build(write(tmp_path, "fns.cpp", text), progress=False)


def test_another_operator_of_a_loaded_name_is_refused_and_the_first_goes_on(kindred, tmp_path):
    expected = kindred(*sample(), 3)
    with pytest.raises(upwell.BuildError, match="kindred: there is an operator, or something else"):
        upwell.build(write(tmp_path, "other.cpp", KINDRED + "// another"), kernels=[3], progress=False)
    assert torch.equal(kindred(*sample(), 3), expected)
    assert torch.ops.upwell.kernels("kindred") == [3]


@pytest.mark.parametrize("name", ["pcdc", "described", "math", "Tensor", "fns_d_value", "_x", "other_sum", "lambda"])
def test_a_name_that_cannot_be_is_refused_before_anything_is_compiled(tmp_path, name):
    text = KINDRED.replace("kindred", name)
    with pytest.raises(upwell.BuildError, match=f"^{name}: "):
        upwell.build(write(tmp_path, "any.cpp", text), progress=False)
    assert upwell.ops.bilinear(torch.ones(1, 1, 4, 4), scale_factor=1.5).shape == (1, 1, 6, 6)


def test_what_a_file_includes_is_part_of_it(tmp_path):
    text = HEAD + '#include "mine.h"\nUPWELL_OPERATOR(NAME, "") {\n' + BODY + "return reassemble(value, FORM, taps);\n}\n"
    source = write(tmp_path, "including.cpp", text.replace("NAME", "including"))
    write(tmp_path, "mine.h", "#define FORM softmax(softmax(dot(query, key, taps)))\n")
    with pytest.raises(upwell.BuildError, match="a softmax already"):
        upwell.build(source, progress=False)
    before = upwell.build.__globals__["_key"](source, [], [], [], [])
    write(tmp_path, "mine.h", "#define FORM softmax(dot(query, key, taps))\n")
    assert upwell.build.__globals__["_key"](source, [], [], [], []) != before


@pytest.mark.parametrize(
    "options, words",
    [
        ({"kernels": 3}, "kernels should be a list of positive integers but is 3"),
        ({"ratios": [0]}, "ratios should be a list of positive integers"),
        ({"dtypes": "float32"}, "dtypes should be a list"),
        ({"dtypes": ["float16"]}, "dtypes should be a list"),
    ],
)
def test_options_that_cannot_be_are_refused(tmp_path, options, words):
    with pytest.raises(upwell.BuildError, match=words):
        upwell.build(write(tmp_path, "any.cpp", KINDRED), **options)


def test_a_file_that_is_not_there_or_describes_nothing_is_refused(tmp_path):
    with pytest.raises(upwell.BuildError, match="nowhere.cpp is no file"):
        upwell.build(tmp_path / "nowhere.cpp")
    with pytest.raises(upwell.BuildError, match="empty.cpp describes no operator"):
        upwell.build(write(tmp_path, "empty.cpp", HEAD), progress=False)
    with pytest.raises(upwell.BuildError, match="junk.so cannot be loaded"):
        upwell.load(write(tmp_path, "junk.so", "junk"))
    with pytest.raises(upwell.BuildError, match="libnone.so is no file"):
        upwell.load(tmp_path / "libnone.so")


def test_inspect_knows_an_operator_of_a_library(kindred, cache, capsys):
    library = next(cache.glob("kindred-*/libkindred.so"))
    main(["inspect", "--load", str(library), "kindred", "--ratio", "2"])
    text = capsys.readouterr().out
    assert "kindred" in text and "4 x 4" in text


CMAKE = """
cmake_minimum_required(VERSION 3.28)
project(stranger LANGUAGES CXX)
find_package(Upwell REQUIRED)
upwell_add_operators(kindred SOURCES kindred.cpp KERNELS 3 RATIOS 2 DTYPES float64 TARGETS baseline)
add_executable(stranger main.cpp)
target_compile_features(stranger PRIVATE cxx_std_20)
target_link_libraries(stranger PRIVATE kindred)
"""
MAIN = r"""
#include <cstdio>
#include <upwell.h>

int main() {
    std::vector<double> value(24), key(24), query(96), output(96);
    const auto fill = [](std::vector<double> &x, double step) {
        for (size_t i = 0; i < x.size(); i++) x[i] = step * ((int(i) * 7) % 11 - 5);
    };
    fill(value, 0.5), fill(key, 0.25), fill(query, 0.125);
    const auto map = [](std::vector<double> &x, std::vector<int64_t> sizes) {
        return upwell::Tensor{x.data(), upwell::Dtype::Float64, sizes, {}};
    };
    upwell::run("kindred", {{"value", map(value, {1, 2, 3, 4})}, {"key", map(key, {1, 2, 3, 4})},
                            {"query", map(query, {1, 2, 6, 8})}, {"kernel", 3}, {"output", map(output, {1, 2, 6, 8})}});
    for (double x : output) std::printf("%.17g\n", x);
}
"""


def cmake(*arguments: object) -> subprocess.CompletedProcess:
    return subprocess.run(
        [str(pathlib.Path(sys.executable).with_name("cmake")), *map(str, arguments)], capture_output=True, text=True
    )


def configure(folder: pathlib.Path, prefix: pathlib.Path, *more: str) -> subprocess.CompletedProcess:
    ninja = pathlib.Path(sys.executable).with_name("ninja")
    options = [f"-DCMAKE_MAKE_PROGRAM={ninja}", f"-DCMAKE_PREFIX_PATH={prefix}", *more]
    return cmake("-G", "Ninja", *options, "-S", folder, "-B", folder / "build")


@pytest.fixture(scope="module")
def stranger(tmp_path_factory) -> pathlib.Path:
    """A project of its own, built against an installed Upwell: without torch, without Python."""
    folder = tmp_path_factory.mktemp("stranger")
    installed = cmake("--install", BUILD, "--prefix", folder / "prefix")
    assert installed.returncode == 0, installed.stderr
    write(folder, "kindred.cpp", KINDRED)
    write(folder, "CMakeLists.txt", CMAKE)
    write(folder, "main.cpp", MAIN)
    configured = configure(folder, folder / "prefix")
    assert configured.returncode == 0, configured.stderr
    built = cmake("--build", folder / "build")
    assert built.returncode == 0, built.stdout
    return folder


@on_processors
def test_a_project_elsewhere_builds_and_runs_it_without_torch(stranger):
    ran = subprocess.run([str(stranger / "build" / "stranger")], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    actual = torch.tensor([float(line) for line in ran.stdout.split()], dtype=torch.float64).reshape(1, 2, 6, 8)

    def map_of(step: float, *shape: int) -> Tensor:
        numbers = torch.arange(torch.Size(shape).numel()) * 7 % 11 - 5
        return step * numbers.to(torch.float64).reshape(shape)

    expected = kindred_by_formula(map_of(0.5, 1, 2, 3, 4), map_of(0.25, 1, 2, 3, 4), map_of(0.125, 1, 2, 6, 8), 3)
    torch.testing.assert_close(actual, expected)
    linked = subprocess.run(["ldd", str(stranger / "build" / "stranger")], capture_output=True, text=True, check=True)
    assert "libupwell_runtime" in linked.stdout and "torch" not in linked.stdout and "Halide" not in linked.stdout


@on_processors
def test_python_loads_what_a_project_elsewhere_built(stranger):
    script = (
        "import sys, torch, upwell\n"
        "kindred = upwell.load(sys.argv[1])\n"
        "x = torch.ones(1, 2, 3, 4, dtype=torch.float64, requires_grad=True)\n"
        "y = kindred(x, x, torch.ones(1, 2, 7, 9, dtype=torch.float64), 3)\n"
        "y.sum().backward()\n"
        "print(y.shape, bool((y - 1).abs().max() < 1e-12), x.grad.sum().item())\n"
    )
    ran = subprocess.run([sys.executable, "-c", script, str(stranger / "build" / "libkindred.so")],
                         capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith("torch.Size([1, 2, 7, 9]) True")


@on_processors
def test_the_torch_libraries_are_found_too(stranger, tmp_path):
    project = """
        cmake_minimum_required(VERSION 3.28)
        project(stranger LANGUAGES CXX)
        find_package(Upwell REQUIRED COMPONENTS torch)
        add_library(user SHARED user.cpp)
        target_link_libraries(user PRIVATE upwell::nn upwell::torch)
    """
    write(tmp_path, "CMakeLists.txt", project)
    write(tmp_path, "user.cpp", "#include <modules/interpolate.h>\n")
    configured = configure(tmp_path, stranger / "prefix", f"-DPython3_EXECUTABLE={sys.executable}")
    assert configured.returncode == 0, configured.stderr


@on_processors
@pytest.mark.parametrize("options", ["RATIOS 0", "DTYPES float16", "TARGETS sse9", "KERNELS x"])
def test_options_that_cannot_be_stop_the_configuration(stranger, tmp_path, options):
    write(tmp_path, "kindred.cpp", KINDRED)
    write(tmp_path, "CMakeLists.txt", CMAKE.replace("KERNELS 3 RATIOS 2 DTYPES float64 TARGETS baseline", options))
    configured = configure(tmp_path, stranger / "prefix")
    said = " ".join(configured.stderr.split())
    name, value = options.split()
    assert configured.returncode != 0 and "upwell_add_operators: " in said and name in said and f"'{value}'" in said


@on_processors
def test_a_wrong_description_stops_the_configuration(stranger, tmp_path):
    write(tmp_path, "kindred.cpp", KINDRED.replace("softmax(dot", "softmax(softmax(dot").replace("Any))", "Any)))"))
    write(tmp_path, "CMakeLists.txt", CMAKE)
    write(tmp_path, "main.cpp", MAIN)
    configured = configure(tmp_path, stranger / "prefix")
    assert configured.returncode != 0
    assert "these weights are a softmax already" in configured.stderr
