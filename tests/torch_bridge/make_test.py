"""The table of upsamplers: what make() builds of it, what it refuses, and the commands that take names from it."""

import inspect
import json
import pathlib
import re

import pytest
import torch
import upwell
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode
from upwell.__main__ import main
from upwell.catalogue import Setting, rows
from upwell.inspect.count import Counter, cells_seen, count, every_rule
from upwell.inspect.resfu import stages
from upwell.inspect.setting import Setting as ReSFUSetting
from upwell.nn.make import NAMES, UPSAMPLERS, make
from upwell.nn.upsampler import Guide, Ratios
from upwell.train.arguments import build_parser

from problems import random
from reference.cross_attention import seen

every_name = pytest.mark.parametrize("name", NAMES)
ROOT = pathlib.Path(__file__).parent.parent.parent


def test_train_demo_and_list_have_the_names_of_the_table():
    (upsampler,) = (action for action in build_parser()._actions if action.dest == "upsampler")
    assert tuple(upsampler.choices) == NAMES
    assert tuple(row["name"] for row in rows(Setting())) == NAMES
    from disparity_demo.model import MODULES, TITLES

    assert {MODULES.get(method, method) for method in TITLES} == set(NAMES)
    for name, row in UPSAMPLERS.items():
        assert row.name == name and TITLES[name] == row.title


def test_every_module_that_upsamples_by_itself_is_in_the_table():
    made = set()
    for name in NAMES:
        module = make(name, 8, 12, 2)
        made.add(inner_name(module))
    parts = {"GuidedFilter", "ColourGuidedFilter", "JBUStack", "HolisticIndexBlock", "DepthwiseO2OIndexBlock", "DepthwiseM2OIndexBlock", "WRCDensify"}
    modules = {name for name in upwell.nn.__all__ if inspect.isclass(getattr(upwell.nn, name))}
    assert made == modules - parts


GUIDE, X = (1, 12, 8, 8), (1, 8, 4, 4)
NOT_NUMBERS = {
    "None": (lambda x: None, "should be a tensor but is None"),
    "a list": (lambda x: x.tolist(), "should be a tensor but is a list"),
    "integers": (lambda x: x.long(), "should have a floating-point dtype but has torch.int64"),
    "complex numbers": (lambda x: x.to(torch.complex64), "should have a floating-point dtype but has torch.complex64"),
}


def inner_name(module: torch.nn.Module) -> str:
    return type(getattr(module, "upsampler", module)).__name__


@every_name
@pytest.mark.parametrize("what", NOT_NUMBERS)
def test_what_is_no_map_of_numbers_is_refused_by_the_names_of_module_and_argument(name, what):
    make_bad, message = NOT_NUMBERS[what]
    module = make(name, 8, 12, 2)
    with pytest.raises(ValueError, match=rf"^{inner_name(module)}: \w+ {message}$"):
        module(torch.randn(GUIDE), make_bad(torch.randn(X)))
    guide = make_bad(torch.randn(GUIDE))
    if UPSAMPLERS[name].is_guided or not isinstance(guide, torch.Tensor):  # of others the size alone counts
        with pytest.raises(ValueError, match=rf"^{inner_name(module)}: \w+ {message}$"):
            module(guide, torch.randn(X))


@every_name
def test_maps_have_the_dtype_of_the_parameters_unless_autocast_chooses(name):
    module = make(name, 8, 12, 2)
    guide, x = torch.randn(GUIDE), torch.randn(X)
    if any(True for _ in module.parameters()):
        message = rf"^{inner_name(module)}: \w+ should be torch.float32 like the parameters but is torch.float64$"
        with pytest.raises(ValueError, match=message):
            module(guide, x.double())
        if UPSAMPLERS[name].is_guided:
            with pytest.raises(ValueError, match=message):
                module(guide.double(), x)
    with torch.autocast("cpu", torch.bfloat16):
        assert module(guide, x.bfloat16()).shape == (1, 8, 8, 8)


@every_name
def test_maps_on_another_device_than_the_parameters_are_refused_by_name(name):
    module = make(name, 8, 12, 2)
    guide, x = torch.randn(GUIDE), torch.randn(X)
    if any(True for _ in module.parameters()):
        message = rf"^{inner_name(module)}: \w+ should be on cpu like the parameters but is on meta$"
        with pytest.raises(ValueError, match=message):
            module(guide.to("meta"), x.to("meta"))
        if UPSAMPLERS[name].is_guided:
            with pytest.raises(ValueError, match=message):
                module(guide.to("meta"), x)
    assert module.to("meta")(guide.to("meta"), x.to("meta")).shape == (1, 8, 8, 8)


@every_name
def test_an_option_that_a_module_does_not_have_is_refused_with_those_it_has(name):
    with pytest.raises(TypeError, match=rf"^make: {name} has no option bogus; its module has \w+"):
        make(name, 8, 12, 2, bogus=1)


def test_papers_are_named_in_the_documents_by_the_same_number():
    documents = "\n".join(path.read_text() for path in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")))
    for row in UPSAMPLERS.values():
        if row.paper:
            assert 2010 < row.paper.year < 2030 and re.fullmatch(r"\d{4}\.\d{5}", row.paper.arxiv)
            assert row.paper.arxiv in documents, row.name


@every_name
@pytest.mark.parametrize("scale_factor", [2, 4.0, 2.5, None, 0, -1, float("nan"), float("inf"), "2"], ids=str)
def test_a_scale_factor_is_taken_as_the_table_says_or_refused(name, scale_factor):
    ratios = UPSAMPLERS[name].ratios
    free, real = ratios in (Ratios.FREE, Ratios.WHOLE_OR_FREE), ratios in (Ratios.FREE, Ratios.REAL)
    takes = free if scale_factor is None else scale_factor in (2, 4.0) or (scale_factor == 2.5 and real)
    if not takes:
        with pytest.raises(ValueError, match=f"make: scale_factor of {name} should be .* but is {scale_factor!r}"):
            make(name, 8, 12, scale_factor)
        return
    module, x = make(name, 8, 12, scale_factor), random((1, 8, 4, 6), torch.float32, 2)
    size = (9, 13) if scale_factor is None else (int(4 * scale_factor), int(6 * scale_factor))
    assert module(random((1, 12, *size), torch.float32, 1), x).shape == (1, 8, *size)


@every_name
def test_a_guide_of_any_size_is_taken_where_no_ratio_is_fixed(name):
    if UPSAMPLERS[name].ratios is Ratios.WHOLE:
        pytest.skip("it upsamples by integers")
    free = UPSAMPLERS[name].ratios is not Ratios.REAL
    module = make(name, 8, 12, None if free else 2.5)
    assert module(random((2, 12, 9, 13), torch.float32, 1), random((2, 8, 4, 6), torch.float32, 2)).shape == (2, 8, 9, 13)


@every_name
@pytest.mark.parametrize("channels", [1, 3, 6])
@pytest.mark.parametrize("guide", [1, 3, 24])
def test_channels_of_x_and_of_the_guide_are_free(name, channels, guide):
    x = random((1, channels, 4, 5), torch.float32, 2)
    assert make(name, channels, guide, 2)(random((1, guide, 8, 10), torch.float32, 1), x).shape == (1, channels, 8, 10)


def test_channels_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match="make: in_channels should be an integer >= 1 but is 0"):
        make("carafe", 0, 3, 2)
    with pytest.raises(ValueError, match="make: guide_channels should be an integer >= 1 but is 0"):
        make("naf", 8, 0, 2)
    make("carafe", 8, 0, 2)  # it looks at none
    with pytest.raises(ValueError, match="NAF: input_dim should be an integer >= 1 but is 0"):
        upwell.nn.NAF(input_dim=0)


@pytest.mark.parametrize("name", [name for name, row in UPSAMPLERS.items() if row.guide is Guide.IMAGE])
def test_those_guided_by_an_image_are_the_published_modules_of_three_channels(name):
    kind = type(make(name, 384, 3, 4))
    published = kind()
    assert {key: value.shape for key, value in make(name, 384, 3, 4).state_dict().items()} == {
        key: value.shape for key, value in published.state_dict().items()
    }


@every_name
def test_every_parameter_that_takes_a_gradient_gets_one(name):
    """DistributedDataParallel waits for all of them."""
    module = make(name, 8, 12, 2)
    output = module(random((1, 12, 8, 10), torch.float32, 1), random((1, 8, 4, 5), torch.float32, 2))
    (output * random(output.shape, torch.float32, 3)).sum().backward() if list(module.parameters()) else None
    assert all(parameter.requires_grad == (parameter.grad is not None) for parameter in module.parameters())


@every_name
def test_those_that_are_guided_look_at_the_guide(name):
    module, x = make(name, 8, 12, 2).eval(), random((1, 8, 4, 5), torch.float32, 2)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.3 * random(parameter.shape, torch.float32, 7))
        outputs = [module(random((1, 12, 8, 10), torch.float32, seed), x) for seed in (1, 3)]
    assert torch.equal(*outputs) != UPSAMPLERS[name].is_guided


# What `upwell list` counts.


def listed(*words: str) -> dict[str, dict]:
    setting = dict(zip(words[::2], words[1::2]))
    names = {"--in-channels": "in_channels", "--guide-channels": "guide_channels", "--ratio": "ratio", "--size": "size"}
    return {row["name"]: row for row in rows(Setting(**{names[key]: int(value) for key, value in setting.items()}))}


@every_name
def test_listed_parameters_are_those_of_the_module(name):
    found = listed("--in-channels", "24", "--guide-channels", "10", "--ratio", "2", "--size", "6")[name]
    guide = 3 if UPSAMPLERS[name].guide is Guide.IMAGE else 10
    assert found["parameters"] == sum(parameter.numel() for parameter in make(name, 24, guide, 2).parameters())
    assert found["multiply_adds"] > 0


@every_name
def test_the_count_is_that_of_a_call_with_numbers(name):
    """Sizes alone, without memory, count as a call does whose numbers are there."""
    shapes = (1, 12, 8, 10), (1, 8, 4, 5)
    module, maps = make(name, 8, 12, 2).eval(), [random(shape, torch.float32, 1) for shape in shapes]
    with Counter() as counter, torch.no_grad():
        module(*maps)
    assert count(lambda: make(name, 8, 12, 2), *shapes)[0] == counter.multiply_adds


@pytest.mark.parametrize("name", ["pixelshuffle", "deconv", "anyup"])
def test_what_torch_has_itself_counts_as_in_its_own_counter(name):
    module = make(name, 8, 12, 2).eval()
    maps = random((1, 12, 8, 10), torch.float32, 1), random((1, 8, 4, 5), torch.float32, 2)
    with FlopCounterMode(display=False) as torchs, torch.no_grad():
        module(*maps)
    with Counter({}) as counter, torch.no_grad():
        module(*maps)
    assert 2 * counter.multiply_adds == torchs.get_total_flops() > 0


class Called(TorchDispatchMode):
    """Names of Upwell's operators that are called."""

    def __init__(self):
        super().__init__()
        self.names = set()

    def __torch_dispatch__(self, function, types, arguments=(), options=None):
        if function.namespace == "upwell":
            self.names.add(function._schema.name.removeprefix("upwell::"))
        return function(*arguments, **(options or {}))


@every_name
def test_every_operator_that_a_module_calls_has_a_rule(name):
    with Called() as called, torch.no_grad():
        make(name, 8, 12, 2)(random((1, 12, 8, 10), torch.float32, 1), random((1, 8, 4, 5), torch.float32, 2))
    rules = {str(packet).removeprefix("upwell.") for packet in every_rule()}
    assert called.names <= rules
    with pytest.raises(NotImplementedError, match="count: no rule says what wrc_exact takes"):
        count(lambda: make("wrc", 8, 12, 2, solver="exact"), (1, 12, 8, 10), (1, 8, 4, 5))


def test_multiply_adds_found_by_hand():
    C, G, r, size = 24, 10, 2, 6
    low, high = size**2, (r * size) ** 2
    found = {name: row["multiply_adds"] for name, row in listed(
        "--in-channels", "24", "--guide-channels", "10", "--ratio", "2", "--size", "6").items()}  # fmt: skip
    assert found["nearest"] == C * high and found["bilinear"] == 4 * C * high
    assert found["pixelshuffle"] == 9 * C * 4 * C * low
    assert found["deconv"] == 9 * C * C * low
    assert found["lctc"] == 49 * C * C * low
    assert found["carafe"] == (64 * C + 9 * 64 * 25 * r * r) * low + 25 * C * high
    assert found["dysample"] == C * 2 * 4 * r * r * low + 4 * C * high
    assert found["indexnet"] == G * r * r * r * r * low + C * high
    assert found["fade"] == (
        9 * G * 25 * high + 9 * C * 25 * low  # both maps' logits, each by one convolution
        + 64 * 9 * 25 * (G + 1) + 64 * 9 * 25 * C  # whose kernels are made
        + 25 * 9 * r * size + 25 * 3 * high  # what a bias adds, along rows and columns
        + 25 * high + C * low + high + (G + 1) * C * high + 25 * C * high  # nearest twice, gate, aligner and bias, taps
    )  # fmt: skip
    assert found["jafar"] > high * low * (128 + C)


def test_resfu_is_counted_as_its_model_says_without_norms_and_softmaxes():
    s = ReSFUSetting(dim_y=32, dim_x=128, image_size=32, feature_stride=1, ratio=4)
    per_element = {"norm x", "norm y", "semantic: hidden norm", "detail: hidden norm", "upsample key", "gaussian", "FNS"}
    expected = sum(row.rewritten.multiply_adds for row in stages(s) if row.name not in per_element)
    expected += 3 * 2 * 3 * s.query_elements + 16 * s.output_elements  # gaussian, and FNS's window
    # Statistics of queries and keys, which the model has with the convolutions.
    expected -= 3 * 3 * s.query_elements + 8 * s.embedding_dim * s.low_pixels
    expected += 32 * (128 + 32)  # the biases of norms, through the projections
    assert count(lambda: make("resfu", 128, 32, 4), (1, 32, 128, 128), (1, 128, 32, 32))[0] == expected


@pytest.mark.parametrize("m, n", [(8, 4), (13, 5), (6, 6), (5, 9), (7, 1)])
@pytest.mark.parametrize("window, kernel, ratio", [
    ("whole", 0, 0), ("shifted", 3, 0), ("shifted", 4, 0), ("masked", 3, 0), ("masked", 5, 0), ("ratio", 0, 0.1), ("ratio", 0, 0.4),
])  # fmt: skip
def test_cells_that_pixels_see_are_counted(m, n, window, kernel, ratio):
    assert cells_seen(window, m, n, kernel, ratio) == seen(window, m, n, kernel, ratio).sum()


def test_list_prints_a_row_each_and_json_has_the_same_figures(capsys):
    main(["list", "--in-channels", "16", "--size", "8"])
    text = capsys.readouterr().out
    main(["list", "--in-channels", "16", "--size", "8", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert found["setting"] == {"in_channels": 16, "guide_channels": 32, "ratio": 4, "size": 8}
    lines = {line.split()[0]: line for line in text.splitlines() if line.split()}
    for row in found["upsamplers"]:
        line = lines[row["name"]]
        assert f"{row['parameters']:,}" in line and f"{row['multiply_adds'] / 1e9:.3f} G" in line
        assert row["paper"] is None or (row["paper"]["arxiv"] in line and row["paper"]["title"] in line)
        assert f" {row['guide']} " in line and row["ratios"] in line


def test_a_ratio_that_an_upsampler_does_not_take_has_no_figures():
    found = {row["name"]: row for row in rows(Setting(ratio=2.5, size=6))}
    for name, row in found.items():
        takes = UPSAMPLERS[name].ratios in (Ratios.FREE, Ratios.REAL)
        assert (row["parameters"] is not None) == (row["multiply_adds"] is not None) == takes


@pytest.mark.parametrize("words, message", [(["--size", "0"], "size should be"), (["--ratio", "-2"], "ratio should be")])
def test_a_setting_that_cannot_be_is_named(words, message, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["list", *words])
    assert message in capsys.readouterr().err
