"""Operators that somebody else describes: built, kept, loaded, and refused where they are wrong."""

import inspect
import os
import pathlib
import re
import subprocess
import sys

import pytest
import torch
import upwell
from torch import Tensor

from strangers import HEAD, KINDRED, kindred_by_formula, sample, write
from upwell import tuned_table
from upwell.__main__ import main

BUILD = pathlib.Path(__file__).parents[2] / "build" / "cpu"
pytestmark = [pytest.mark.xdist_group("new_operator"), pytest.mark.usefixtures("cache")]  # built once
on_processors = pytest.mark.skipif("UPWELL_LIBRARY" in os.environ, reason="the CMake package compiles for processors")


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

LISTED = """
    const Map value = low_res("value", "C");
    const Taps taps = taps_at(OFFSETS, Grid::LowRes, Sampling::Nearest, Border::Replicate);
    const TapWeights sum = softmax(tap_weights("logits", taps));
    return reassemble(value, sum, taps);
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
         "wrong: taps per side should be 1, or taps_per_side(), or taps_at(offsets, ...), but are 3"),
        ("const Sampling five{true, 0, 5, {}}; return sample(low_res(\"x\", \"C\"), Grid::LowRes, five, Border::Zero);", [],
         "wrong: a sampling should read 1 .. 4 cells, at most 16 away, but reads 5 from 0 on"),
        (BODY + 'border({{"a", Border::Zero, ""}, {"a", Border::Masked, "_m"}});'
         "return reassemble(value, dot(query, key, taps), taps);", [], "wrong: border: every choice should have a name"),
        (BODY + 'border({{"a", Border::Zero, "_d_value"}});'
         "return reassemble(value, dot(query, key, taps), taps);", [], "wrong: border: every choice should have a name"),
        (BODY + "return reassemble(value, dot(query, key, taps), taps);", [15],
         "wrong: taps per side should be at most 13 but are 15"),
        (LISTED.replace("OFFSETS", "{{0, 0}, {0, 1}, {0, 1}}"), [], "wrong: taps_at: offset (0, 1) is there twice"),
        (LISTED.replace("OFFSETS", "{{0, -7}}"), [],
         "wrong: taps_at: an offset should be at most 6 rows and columns away but is (0, -7)"),
        (LISTED.replace("OFFSETS", "{}"), [], "wrong: taps_at: there should be 1 .. 81 offsets but there are 0"),
        (LISTED.replace("OFFSETS", "{{0, 1}}").replace("Replicate", "Masked"), [],
         "wrong: where taps may be masked one should be at the pixel's own place, (0, 0)"),
        (LISTED.replace("OFFSETS", "{{0, 1}, {0, 0}}").replace("sum, taps", "sum, Taps{1, taps.grid, taps.sampling, taps.border}"),
         [], "wrong: reassemble: the weights are of 2 listed taps, the value is read at 1 x 1 taps"),
        (BODY.replace("Border::Zero", "Border::Reflect").replace("Nearest", "Bilinear")
         + "return reassemble(value, dot(query, key, taps), taps);", [],
         "wrong: Border::Reflect should be with a sampling on cells that reads as many to both sides, as Sampling::Nearest, but is "
         "with Sampling::Bilinear"),
        (BODY.replace("Border::Zero", "Border::Inside").replace("Nearest", "Bilinear")
         + "return reassemble(value, dot(query, key, taps), taps);", [],
         "wrong: Border::Inside should be with Grid::LowRes and a sampling that reads one cell, as Sampling::Nearest, but is with "
         "Grid::LowRes and Sampling::Bilinear"),
        (BODY.replace("Border::Zero", "Border::Inside").replace("LowRes, S", "HighRes, S")
         + "return reassemble(value, dot(query, key, taps), taps);", [],
         "as Sampling::Nearest, but is with Grid::HighRes and Sampling::Nearest"),
        ("const Sampling three{true, -1, 3, {}}; return sample(low_res(\"x\", \"C\"), Grid::LowRes, three, Border::Reflect);", [],
         "but is with one of cells -1 .. 1, between cells"),
        (BODY + "const Taps moved{taps.kernel, taps.grid, taps.sampling, Border::Inside};"
         "return reassemble(value, dot(query, key, moved), taps);", [],
         "wrong: dot: where taps move inside the map, those of reassemble should do so too"),
        (BODY + 'return reassemble(value, softmax(dot(query, key, taps)) + tap_bias("place", taps), taps);', [],
         "wrong: place: a bias is added to dot(query, key, taps), once, before a softmax of it"),
        (BODY + 'return reassemble(value, dot(query, key, taps) + tap_bias("place", taps, Groups::Any), taps);', [],
         "wrong: place: the bias should have groups as the products have, or none as they"),
        (BODY + "return reassemble(value, dot(query, key, taps) + TapBias{}, taps);", [],
         "wrong: the bias is none of this operator: tap_bias(name, taps) makes one"),
        ("throw 5;", [], "wrong: the description throws what is no exception"),
        ("return reassemble(value);", [], "wrong.cpp:6"),
    ],
    ids=["even", "unknown", "softmaxes", "sizes", "value", "high-res", "unused", "name", "keyword", "channels",
         "masked sample", "masked sum", "masked dot", "fixed", "sampling", "choices", "suffix", "large", "twice", "far",
         "none", "centre", "counts", "mirror", "moved", "moved high", "mirror three", "moved dot", "late bias", "groups of a bias", "no bias", "throws",
         "compiler"],
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


@pytest.mark.parametrize("name", ["pcdc", "described", "math", "Tensor", "fns_d_value", "_x", "other_sum", "other_and_weights", "lambda"])
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
    before = upwell.build.__globals__["_identity"](source)
    write(tmp_path, "mine.h", "#define FORM softmax(dot(query, key, taps))\n")
    assert upwell.build.__globals__["_identity"](source) != before


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
    for source, message in (
        (tmp_path / "nowhere.cpp", "build: source should be a file but {} does not exist"),
        (tmp_path, "build: source should be a file but {} is a folder"),
        (write(tmp_path, "notes.txt", KINDRED), "build: source should be a file that ends in .cpp, .cc or .cxx but is {}"),
        (write(tmp_path, "empty.cpp", HEAD), "{} describes no operator: UPWELL_OPERATOR(name, doc) {{ ... }} does"),
        (None, "build: source should be the path of a file but is None"),
    ):
        with pytest.raises(upwell.BuildError) as caught:
            upwell.build(source, progress=False)
        assert str(caught.value) == message.format(source)


def test_a_file_that_is_no_library_of_operators_is_refused_in_one_line(kindred, tmp_path):
    def part(name: str, bytes: int) -> pathlib.Path:
        (tmp_path / name).write_bytes(pathlib.Path(kindred.library).read_bytes()[:bytes])
        return tmp_path / name

    size = pathlib.Path(kindred.library).stat().st_size
    for library, message in (
        (tmp_path / "libnone.so", "load: library should be a file but {} does not exist"),
        (tmp_path, "load: library should be a file but {} is a folder"),
        (write(tmp_path, "junk.so", "junk"), "load: {} is no shared library; build() and upwell_add_operators() make one"),
        (part("empty.so", 0), "load: {} is no shared library; build() and upwell_add_operators() make one"),
        (part("head.so", 64), "load: {} is not whole: it should have .* bytes or more"),
        (part("half.so", size // 2), "load: {} is not whole: it should have .* bytes or more"),
        (part("most.so", size - 1), "load: {} is not whole: it should have .* bytes or more"),
        (without_operators(tmp_path), "load: {} has no operator that was not there before: UPWELL_OPERATOR describes one"),
        (None, "load: library should be the path of a file but is None"),
        (3, "load: library should be the path of a file but is 3"),
    ):
        with pytest.raises(upwell.BuildError) as caught:
            upwell.load(library)
        assert re.fullmatch(re.escape(message.format(library)).replace(re.escape(".*"), ".*"), str(caught.value))


def without_operators(folder: pathlib.Path) -> pathlib.Path:
    library = folder / "libwithout.so"
    subprocess.run(["g++", "-shared", "-o", library, write(folder, "without.cpp", "int answer() { return 42; }")], check=True)
    return library


def test_an_operator_of_another_file_refuses_as_those_of_upwell_do(kindred):
    query, *others = sample()
    given = ", ".join(inspect.signature(kindred).parameters)
    with pytest.raises(TypeError, match="^kindred: got an unexpected keyword argument 'ratio'; the arguments are ") as caught:
        kindred(query, *others, 3, ratio=2)
    assert re.sub("=[^,]*", "", str(caught.value).split("the arguments are ")[1]) == given
    first = given.split(", ")[0]
    with pytest.raises(TypeError, match=f"^kindred: {first} should be a tensor but is a list$"):
        kindred([1.0], *others, 3)
    with pytest.raises(RuntimeError, match=r"kindred.*: kernel should be one of \[3\] .*upwell.build .*but is 5"):
        kindred(query, *others, 5)


SAMPLED = HEAD + """
UPWELL_OPERATOR(sampled, "") {
    return sample(low_res("value", "C"), Grid::LowRes, Sampling::Nearest, Border::Zero);
}
"""
OWN_CLASS = f"x86-64-{torch.ops.upwell.instruction_set()}"
tables = pytest.mark.skipif(OWN_CLASS not in tuned_table.TARGETS, reason="there are no tables for this processor")


def table_with(folder: pathlib.Path, kernel: str, strip_rows: int, machine_class: str = OWN_CLASS) -> pathlib.Path:
    """A tuned table with one entry, for float64 at the ratio 2."""
    measured = tuned_table.Measured(shape="", ratio=0.9, low=0.8, high=0.95, rounds=40, seed=1, trials=4, commit="",
                                    date="", processor="", threads=1, versions={})
    entry = tuned_table.Entry(kernel, "forward", 1, 2, "float64", tuned_table.bucket_of(16, 64, 1, 1),
                              {"strip_rows": strip_rows}, measured)
    tuned_table.Table(machine_class, [entry]).write(folder / "table.json")
    return folder / "table.json"


def refusal(folder: pathlib.Path, tuned: object) -> str:
    with pytest.raises(upwell.BuildError) as caught:
        upwell.build(write(folder, "sampled.cpp", SAMPLED), ratios=[2], dtypes=["float64"], progress=False, tuned=tuned)
    return str(caught.value)


@pytest.mark.parametrize("tuned", [True, "nowhere.json", "."])
def test_what_is_no_tuned_table_is_refused(tmp_path, tuned):
    expected = f"build: tuned should be a table that upwell tune wrote, None or False but is {tuned}"
    assert refusal(tmp_path, tuned) == expected


@tables
def test_a_tuned_table_that_is_not_for_this_build_is_refused_with_what_is_wrong(tmp_path):
    assert refusal(tmp_path, write(tmp_path, "wrong.json", "{")).startswith(f"build: tuned: {tmp_path}/wrong.json: not JSON")
    other = next(name for name in tuned_table.TARGETS if name != OWN_CLASS)
    assert "class should be" in refusal(tmp_path, table_with(tmp_path, "sampled", 2, other))
    assert refusal(tmp_path, table_with(tmp_path / "a", "another", 2)).endswith(
        "a/table.json has no entry for these operators, kernels, ratios and dtypes"
    )


@tables
@on_processors
def test_a_tuned_schedule_that_cannot_be_is_refused_with_the_entry_and_the_rule(tmp_path):
    said = refusal(tmp_path, table_with(tmp_path, "sampled", 12345))
    assert "tuned: sampled forward K=1 ratio 2 float64" in said and "strip_rows should be one of" in said


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
