"""upwell.onnx: the files run without Upwell, in onnxruntime and in OpenVINO, and give its numbers."""

import pathlib
import subprocess
import sys

import numpy
import onnx
import onnx.inliner
import onnxruntime
import openvino
import pytest
import torch
import upwell.onnx
from compare import assert_close
from export_test import OPERATORS, SAMPLE, build, flat, inputs
from torch import nn
from torch.export import Dim
from upwell.nn.make import NAMES
from upwell.onnx.formulas import FORMULAS, NOT_SAID

CHANNELS, GUIDE, RATIO = 8, 5, 2
FREE = {0: Dim.AUTO, 2: Dim.AUTO, 3: Dim.AUTO}
# What a body may be made of: operators without corner cases in which runtimes differ.
PLAIN = set(
    """Abs Add And AveragePool Cast Ceil Concat Constant Conv ConvTranspose Cos Div Equal Exp Floor Gather GreaterOrEqual Less Log
    MatMul Max Min Mul Neg Or Pad Range ReduceMax ReduceMean ReduceSum Relu Reshape Shape Sin Slice Softmax Sqrt Squeeze Sub Tile Transpose
    Unsqueeze Where""".split()
)
FUNCTIONS = {  # of each module: the functions in its file, in alphabetical order
    "resfu": "fns fold_group_norm group_stats guided_filter pcdc_scores",
    "carafe": "carafe",
    "lctc": "merge_kernels transposed_conv",
    "wrc": "wrc_data wrc_prior wrc_spectral",
    "dysample": "sample_at_offsets",
    "sapa": "carafe carafe_reassembly_d_weight fold_group_norm group_stats",
    "sapa_exp": "carafe carafe_reassembly_d_weight",
    "fade": "carafe_reassembly nearest",
    "indexnet": "index_unpool",
    "pixelshuffle": "",
    "deconv": "",
    "anyup": "adaptive_avg_pool2d cross_attention",
    "naf": "adaptive_avg_pool2d cross_attention",
    "jafar": "adaptive_avg_pool2d cross_attention",
    "jbu": "adaptive_conv bicubic range_weights",
    "local_attender": "local_attention",
    "bilinear": "bilinear",
    "nearest": "nearest",
}
FREE_GUIDES = ("anyup", "naf", "jafar", "jbu")  # of any size whatever the scale_factor
ANY_RATIO = ("resfu", "sapa", "sapa_exp", "fade", "bilinear", "nearest")  # with None, or a real one


def of_onnxruntime(model: onnx.ModelProto):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return lambda given: session.run(None, {each.name: given[each.name] for each in session.get_inputs()})


def of_openvino(model: onnx.ModelProto):
    core = openvino.Core()
    # It takes 16 bits where a processor has them, unless told otherwise.
    options = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}
    inlined = onnx.inliner.inline_local_functions(model)
    compiled = core.compile_model(core.read_model(inlined.SerializeToString()), "CPU", options)

    def run(given):
        made = compiled({each.get_any_name(): given[each.get_any_name()] for each in compiled.inputs})
        return [made[output] for output in compiled.outputs]

    return run


RUNTIMES = {"onnxruntime": of_onnxruntime, "openvino": of_openvino}


def exported(module: nn.Module, args, folder: pathlib.Path, **options) -> onnx.ModelProto:
    upwell.onnx.export(module, args, folder / "model.onnx", **options)
    return onnx.load(folder / "model.onnx")


def assert_runs_alike(module: nn.Module, model: onnx.ModelProto, calls, tolerance: float, runtimes=RUNTIMES) -> None:
    """In every runtime, for the inputs of each call, module's outputs."""
    onnx.checker.check_model(model, full_check=True)
    for name, runtime in runtimes.items():
        run = runtime(model)
        for call in calls:
            given = dict(zip((each.name for each in model.graph.input), (tensor.numpy() for tensor in call)))
            with torch.no_grad():
                expected = flat(module(*call))
            for actual, wanted in zip(run(given), expected, strict=True):
                what = f"{name} at {[list(tensor.shape) for tensor in call]}"
                assert_close(torch.from_numpy(numpy.array(actual)), wanted, tolerance, what)


def made(name: str, ratio: float | None = RATIO, **options) -> nn.Module:
    """A module none of whose parameters is 0, as some start."""
    module = upwell.nn.make(name, CHANNELS, GUIDE, ratio, **options).eval()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return module


def maps(n: int, low: tuple[int, int], high: tuple[int, int]) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randn(n, GUIDE, *high), torch.randn(n, CHANNELS, *low)


def names_of(model: onnx.ModelProto) -> list[str]:
    return sorted({function.name for function in model.functions})


@pytest.mark.parametrize("name", NAMES)
def test_a_module_of_make_is_one_file_for_all_sizes(name, tmp_path):
    module, sizes = made(name), ((2, (4, 6)), (3, (7, 5)))
    calls = [maps(n, low, tuple(RATIO * length for length in low)) for n, low in sizes]
    calls += [maps(2, (5, 4), (13, 7))] if name in FREE_GUIDES else []
    model = exported(module, calls[0], tmp_path)
    assert_runs_alike(module, model, calls, 1e-4)
    assert names_of(model) == FUNCTIONS[name].split()
    assert all(function.domain == "upwell" and function.doc_string for function in model.functions)


@pytest.mark.parametrize("name", ANY_RATIO)
def test_a_module_of_any_ratio_takes_any_size_of_a_guide(name, tmp_path):
    ratio = 1.7 if name in ("bilinear", "nearest") else None
    module = made(name, ratio)
    calls = [maps(2, (4, 6), (9, 11)), maps(3, (5, 4), (13, 8))]
    assert_runs_alike(module, exported(module, calls[0], tmp_path), calls, 1e-4)


# Their windows' ends lie on the edges of cells: what float64, which OpenVINO does not have, makes of that decides.
ON_EDGES = {"cross_attention of a mean": (4, 4, 4, 8, 25, 9)}


@pytest.mark.parametrize("name", [name for name in OPERATORS if name not in NOT_SAID])
def test_an_operator_is_one_function_for_all_sizes(name, tmp_path):
    module, shapes = build(f"ops.{name}"), OPERATORS[name][1]
    others = ((3, 4, 5, 6, 13, 11), (1, 4, 12, 10, 17, 31), ON_EDGES.get(name, (4, 4, 4, 8, 25, 9)))
    is_map = [shape(*SAMPLE) != shape(*others[0]) for shape in shapes]
    args = inputs(shapes, SAMPLE)
    model = exported(module, args, tmp_path, dynamic=(tuple(FREE if free else None for free in is_map),))
    calls = [inputs(shapes, sizes) for sizes in (SAMPLE, *others)]
    tolerance = 5e-4 if name == "colour_guided_filter" else 1e-5  # its systems can be ill-conditioned: Upwell's error is 1e-4
    for runtime, each in RUNTIMES.items():
        some = calls[:-1] if runtime == "openvino" and name in ON_EDGES else calls
        assert_runs_alike(module, model, some, tolerance, {runtime: each})
    for function in model.functions:
        extra = {"GridSample"} if function.name == "sample_at_offsets" else set()
        assert {node.op_type for node in function.node} <= PLAIN | extra
        assert not any(node.domain for node in function.node)


def test_every_operator_has_a_formula_or_a_reason():
    of_tests = {name.split()[0] for name in OPERATORS}
    internal = {"carafe_reassembly_d_weight", "upsampled_group_stats", "sapa_attention"}
    assert of_tests - internal == (FORMULAS.keys() | NOT_SAID.keys()) - internal


class Several(nn.Module):
    """Options that lead formulas other ways than make's, each with an output of its own."""

    def __init__(self):
        super().__init__()
        nns = upwell.nn
        self.of_x = nn.ModuleList(
            (
                nns.CARAFE(CHANNELS, 3, 3, up_group=2, border="mask"),
                nns.DySample(CHANNELS, 2, "pl", groups=2, dyscope=True),
                nns.LCTC(CHANNELS, CHANNELS, 5, None, 2, groups=4),
                nns.WRC(CHANNELS, CHANNELS, 3, 2, padding_mode="reflect", centre="kernel"),
                nns.Bilinear(1.3),
                nns.Nearest(1.5),
            )
        )
        self.of_both = nn.ModuleList(
            (
                nns.ReSFU(GUIDE, CHANNELS, scale_factor=2, layout="paper", gf_centred=True, gf_scale=3),
                nns.ReSFU(GUIDE, CHANNELS, scale_factor=3),  # not the ratio of the sizes
                nns.SAPA(GUIDE, CHANNELS, 2, 3, 8, norm=False, border="mask"),
                nns.SAPAExp(GUIDE, CHANNELS, 6, "gate"),
                nns.FADE(GUIDE, CHANNELS, 2, 3, "h2l", border="mask"),
                nns.FADE(GUIDE, CHANNELS, 2, 5, "ungated"),
                nns.LocalAttender(GUIDE, 17),
            )
        )
        self.filters = nn.ModuleList(
            nns.guided_filter.GuidedFilter(radius, 1e-2, 4, scale, centred, border)
            for radius, scale, centred, border in ((9, 1, False, "reflect"), (3, 2, True, "symmetric"), (0, 1, False, "inside"))
        )

    def forward(self, guide, x):
        windows = (("masked", 3, 0.0), ("shifted", (9, 3), 0.0), ("ratio", 0, 0.23))
        attended = [
            upwell.ops.cross_attention(guide[:, :4], x[:, :4], x, 2, *window, mean_heads=window[0] != "shifted")
            for window in windows
        ]
        local = upwell.ops.local_attention(x[:, :, :3, :4], guide[:, :, :6, :8])
        of_x = [part(x) for part in self.of_x]
        of_both = [part(guide, x) for part in self.of_both]
        return (*attended, local, *of_x, *of_both, *(part(guide[:, :4], x[:, :4]) for part in self.filters))


def test_options_lead_to_functions_of_one_name_and_several_overloads(tmp_path):
    module = Several().eval()
    calls = [maps(n, low, tuple(2 * length for length in low)) for n, low in ((2, (5, 6)), (3, (7, 5)))]
    model = exported(module, calls[0], tmp_path)
    assert_runs_alike(module, model, calls, 1e-4)
    of_filter = [function.overload for function in model.functions if function.name == "guided_filter"]
    assert of_filter == ["", *map(str, range(2, len(of_filter) + 1))] and len(of_filter) == 5
    identifiers = {(function.name, function.overload) for function in model.functions}
    assert {(node.op_type, node.overload) for node in model.graph.node if node.domain == "upwell"} == identifiers
    assert len(identifiers) == len(model.functions)


def test_a_node_says_the_operator_and_its_options_so_that_a_runtime_can_take_its_own(tmp_path):
    module, call = made("carafe"), maps(2, (4, 6), (8, 12))
    model = exported(module, call, tmp_path)
    (node,) = (node for node in model.graph.node if node.domain == "upwell")
    options = {each.name: onnx.helper.get_attribute_value(each) for each in node.attribute}
    assert (node.op_type, options) == ("carafe", {"kernel": 5, "groups": 1, "border": b"zero"})
    (function,) = model.functions
    assert set(function.attribute) == options.keys() and list(function.input) == ["value", "logits"]
    del function.node[:]  # in its place another: twice the logits' first channel
    body = onnx.parser.parse_function(
        '<opset_import: ["": 18], domain: "upwell"> carafe <kernel, groups, border> (value, logits) => (made) '
        "{ first = Constant<value_ints = [0]>() one = Constant<value_ints = [1]>() taken = Slice(logits, first, one, one) "
        "made = Add(taken, taken) }"
    )
    function.CopyFrom(body)
    given = {each.name: tensor.numpy() for each, tensor in zip(model.graph.input, call)}
    with torch.no_grad():
        code = module.upsampler.content_encoder(module.upsampler.channel_compressor(call[1]))
    expected = 2 * nn.functional.pixel_shuffle(code, RATIO)[:, :1]
    assert_close(torch.from_numpy(of_onnxruntime(model)(given)[0]), expected, 1e-5)


def test_without_functions_the_graph_is_standard_onnx(tmp_path):
    module, call = made("resfu"), maps(2, (4, 6), (8, 12))
    upwell.onnx.export(module, call, tmp_path / "model.onnx", functions=False)
    model = onnx.load(tmp_path / "model.onnx")
    assert not model.functions and {each.domain for each in model.opset_import} == {""}
    assert_runs_alike(module, model, [call], 1e-4)


def test_fixed_sizes_and_names(tmp_path):
    module, call = made("resfu", None), maps(1, (4, 6), (9, 11))
    options = {"dynamic": False, "input_names": ["guide", "features"], "output_names": ["upsampled"]}
    model = exported(module, call, tmp_path, **options)
    assert [each.name for each in (*model.graph.input, *model.graph.output)] == ["guide", "features", "upsampled"]
    lengths = [[axis.dim_value for axis in each.type.tensor_type.shape.dim] for each in model.graph.input]
    assert lengths == [[1, GUIDE, 9, 11], [1, CHANNELS, 4, 6]]
    assert_runs_alike(module, model, [call], 1e-4)


def test_a_file_says_nothing_of_the_machine_that_made_it(tmp_path):
    upwell.onnx.export(made("resfu"), maps(2, (4, 6), (8, 12)), tmp_path / "model.onnx")
    written = (tmp_path / "model.onnx").read_bytes()
    assert b".py" not in written and str(pathlib.Path(upwell.__file__).parent).encode() not in written


class Calls(nn.Module):
    """A module that calls a function."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


@pytest.fixture(scope="module")
def strangers():
    """Operators of which Upwell knows nothing: of a library of its own, and one that was described and loaded."""
    library, described = torch.library.Library("stranger", "DEF"), torch.library.Library("upwell", "FRAGMENT")
    for each in (library, described):
        each.define("mine(Tensor x) -> Tensor")
        each.impl("mine", lambda x: 2 * x, "CompositeExplicitAutograd")
    yield
    described._destroy()
    library._destroy()


REFUSED = {
    "a described operator": (lambda: Calls(torch.ops.upwell.mine), torch.float32, r"^mine: has no formula in ONNX: there is none"),
    "a stranger's operator": (lambda: Calls(torch.ops.stranger.mine), torch.float32, r"stranger\.mine"),
    "an operator that iterates": (
        lambda: upwell.nn.WRC(CHANNELS, CHANNELS, 5, 2, solver="exact"),
        torch.float32,
        r"^wrc_exact: has no formula in ONNX: it iterates",
    ),
    "weights that are asked for": (
        lambda: Calls(lambda x: upwell.ops.carafe(x, torch.cat([x, x[:, :1]], 1), 3, return_weights=True)),
        torch.float32,
        r"^carafe_and_weights: has no formula in ONNX",
    ),
    "64 bits": (lambda: upwell.nn.CARAFE(CHANNELS, 2), torch.float64, r"^carafe: value should be float32 to be exported but is double"),
    "16 bits": (
        lambda: upwell.nn.CARAFE(CHANNELS, 2),
        torch.bfloat16,
        r"^carafe: value should be float32 to be exported but is bfloat16",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
@pytest.mark.parametrize("there", (False, True), ids=("no file before", "a file before"))
def test_what_has_no_formula_is_refused_by_name_and_nothing_is_written(case, there, strangers, tmp_path):
    build, dtype, message = REFUSED[case]
    path = tmp_path / "model.onnx"
    if there:
        path.write_text("of before")
    with pytest.raises(upwell.onnx.ExportError, match=message):
        upwell.onnx.export(build().to(dtype).eval(), [torch.randn(2, CHANNELS, 4, 6, dtype=dtype)], path)
    assert [file.read_text() for file in tmp_path.iterdir()] == ["of before"] * there


def test_a_file_that_cannot_be_written_to_the_end_is_none(tmp_path, monkeypatch):
    def fails(model, name):
        pathlib.Path(name).write_text("half")
        raise OSError("the disk is full")

    monkeypatch.setattr("onnx_ir.save", fails)
    with pytest.raises(OSError, match="the disk is full"):
        upwell.onnx.export(made("nearest"), maps(2, (4, 6), (8, 12)), tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


def test_a_model_in_training_mode_is_refused(tmp_path):
    with pytest.raises(ValueError, match="^export: model should be in evaluation mode"):
        upwell.onnx.export(made("carafe").train(), maps(2, (4, 6), (8, 12)), tmp_path / "model.onnx")


def test_what_no_file_can_be_made_of_is_refused_before_anything_is_made(tmp_path):
    model, (guide, x) = made("carafe"), maps(2, (4, 6), (8, 12))
    with pytest.raises(ValueError, match="^export: args should be a tuple of what model is called with but is a tensor$"):
        upwell.onnx.export(model, x, tmp_path / "model.onnx")
    with pytest.raises(ValueError, match="^export: path should be in a folder that exists but is .*nowhere/model.onnx$"):
        upwell.onnx.export(model, (guide, x), tmp_path / "nowhere/model.onnx")


def test_a_missing_package_is_named():
    program = "import sys; sys.modules['onnxscript'] = None; import upwell.onnx"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=100)
    assert ran.returncode != 0
    assert "ImportError: upwell.onnx: needs the packages onnx and onnxscript" in ran.stderr
    assert "pip install onnx onnxscript" in ran.stderr
