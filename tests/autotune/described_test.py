"""upwell tune for operators that somebody describes in a file: found, kept, and taken by the next build."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from toy import BUILD
from autotune.tune import table
from autotune.tune.__main__ import main
from autotune.tune.described import DescribedWorkload, Library, read_workload, table_of
from autotune.tune.kernels import Kernel, TuneError
from autotune.tune.session import Session
from autotune.tune.space import Space

pytestmark = pytest.mark.xdist_group("build")  # they write to the one folder of the build

# Nobody published these.
SOURCE = """
#include <upwell/operator.h>

using namespace upwell;

UPWELL_OPERATOR(smeared, "The sum of the cells around, as weighted.") {
    const Map value = low_res("value", "C");
    const Taps taps{taps_per_side(3), Grid::LowRes, Sampling::Nearest, Border::Zero};
    return reassemble(value, tap_weights("weight", taps, Groups::Any), taps);
}

UPWELL_OPERATOR(read, "The value at the pixel.") {
    return sample(low_res("value", "C"), Grid::LowRes, Sampling::Bilinear, Border::Replicate);
}
"""
# What --describe says of one with scores.
ALIKE = {
    "name": "alike", "doc": "", "kernel": 3, "groups": True, "borders": ["zero", "mask"], "mask_ratio": False, "scores": True,
    "maps": [{"name": "key", "sizes": "N, D, h, w", "doc": ""}, {"name": "value", "sizes": "N, C, h, w", "doc": ""},
             {"name": "query", "sizes": "N, D, H, W", "doc": ""}],
    "windows": [{"name": name, "cells_per_tap": cells, "normaliser": "softmax"}
                for name, cells in (("alike", 1), ("alike_scores", 2), ("alike_masked", 1), ("alike_scores_masked", 2))],
}


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    """A file beside an empty cache."""
    folder = tmp_path_factory.mktemp("described")
    (folder / "smeared.cpp").write_text(SOURCE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("UPWELL_CACHE", str(folder / "cache"))
        yield folder / "smeared.cpp"


def alike(**fields: object) -> DescribedWorkload:
    known = {"N": 2, "C": 64, "h": 6, "w": 8, "ratio": 2, "kernel": 3, "groups": 1, "channels": (("D", 32),)}
    return DescribedWorkload("alike", **known | fields, library=Library("lib.so", (3,), (2,)), description=ALIKE)


def kernel(generator: str) -> Kernel:
    return Kernel(generator, Path(), generator, ("kernel=3", "ratio=2", "type=float32"), (), (), Path())


def test_maps_have_the_sizes_that_the_description_and_the_shape_say():
    assert alike().shapes() == {"key": [2, 32, 6, 8], "value": [2, 64, 6, 8], "query": [2, 32, 12, 16]}
    assert alike(channels=()).shapes()["query"] == [2, 64, 12, 16]
    weighted = {**ALIKE, "scores": False, "maps": [{"name": "w", "sizes": "N, G*K*K, H, W", "doc": ""}]}
    fields = {"library": Library("lib.so", (), ()), "description": weighted}
    assert DescribedWorkload("w", 1, 8, 3, 4, 3, 5, 2, **fields).shapes() == {"w": [1, 50, 9, 12]}


@pytest.mark.parametrize("direction", ["", "_d_value", "_d_weight"])
def test_a_kernel_goes_over_the_channels_of_the_scores_or_of_the_value(direction):
    workload = alike(groups=2)
    assert workload.extent(kernel(f"alike_scores{direction}")) == (32, 48, 2)
    assert workload.extent(kernel(f"alike_masked{direction}")) == (64, 48, 2)
    assert workload.multiply_adds(kernel(f"alike_scores{direction}")) == 2 * 12 * 16 * 32 * 4**2
    assert workload.multiply_adds(kernel(f"alike{direction}")) == 2 * 12 * 16 * 64 * 3**2


def test_neighbours_change_the_channels_that_the_kernel_goes_over():
    found = alike().neighbours(kernel("alike_scores"), (16, 63), (16, 63))
    assert [other.shape for other in found] == [
        f"alike 2,64,{size} ratio 2 kernel 3 D {count}" for size, count in
        (("6,8", 16), ("6,8", 48), ("4,5", 32), ("6,9", 32))
    ]


def test_a_workload_reads_back():
    workload = alike(border="mask", groups=2)
    assert workload.shape == "alike 2,64,6,8 ratio 2 kernel 3 groups 2 D 32 mask"
    again = read_workload(json.dumps(workload.as_dict()))
    assert again == workload and again.description == workload.description


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"channels": (("E", 3),)}, "alike has no channels E, but C, D"),
        ({"channels": (("D", 0),)}, "alike: the channels D should be positive but are 0"),
        ({"border": "none"}, "alike: border should be one of zero, mask but is none"),
    ],
)
def test_what_the_description_has_not_is_refused(fields, message):
    with pytest.raises(TuneError, match=message):
        alike(**fields)


SHAPE = ["--shape", "1,16,8,8", "--ratio", "2"]


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "{source}: --shape N,C,h,w is missing"),
        (["--shape", "1,2,3"], "--shape should be N,C,h,w"),
        ([*SHAPE, "other"], "{source} describes smeared, read, but not other"),
        ([*SHAPE, "read", "--kernel", "3"], "read has no --kernel"),
        ([*SHAPE, "read", "--groups", "2"], "read has no --groups"),
        ([*SHAPE, "smeared", "--kernel", "4"], "smeared: taps per side should be odd and positive but are 4"),
        ([*SHAPE, "--channels", "D"], "D should be NAME=NUMBER"),
        ([*SHAPE, "smeared", "--channels", "D=3"], "smeared has no channels D, but C"),
        ([*SHAPE, "smeared", "--groups", "3"], "smeared: groups should divide the 16 channels but is 3"),
        ([*SHAPE, "--target", "cuda", "--pack", "x"], "without --pack and --target"),
        ([*SHAPE, "smeared", "--direction", "d_weight", "--only", "smeared"], "smeared: no kernel of the direction d_weight"),
    ],
)
def test_bad_arguments_are_refused_with_a_reason(source, capsys, argv, message):
    with pytest.raises(SystemExit) as end:
        main([str(source), *argv], BUILD)
    assert end.value.code == 2
    said = capsys.readouterr().err
    assert message.format(source=source) in said and "Traceback" not in said


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["nowhere.cpp", *SHAPE], "nowhere.cpp does not exist"),
        (["fns", *SHAPE, "--channels", "D=3"], "--channels: for the operators of a FILE.cpp, which fns is not"),
        (["fns", "carafe", *SHAPE], "carafe: for the operators of a FILE.cpp"),
        (["fns", *SHAPE, "--any-size"], "--any-size: for the operators of a FILE.cpp"),
    ],
)
def test_what_goes_with_a_file_alone_is_refused_elsewhere(source, capsys, argv, message):
    with pytest.raises(SystemExit) as end:
        main(argv, BUILD)
    assert end.value.code == 2
    assert message in capsys.readouterr().err


CALLS = """
import ctypes, json, sys, torch, upwell
options = json.loads(sys.argv[2])
smeared, read = upwell.build(sys.argv[1], ratios=[2], dtypes=["float32"], progress=False, **options)
seen = []
observer = ctypes.CFUNCTYPE(None, ctypes.c_char_p, ctypes.c_void_p)(lambda symbol, _: seen.append(symbol.decode()))
ctypes.CDLL(str(upwell.LIBRARY)).upwell_set_observer(observer)
torch.set_num_threads(1)
torch.manual_seed(0)
sums = []
for channels in (16, 64):
    value, weight = torch.randn(1, channels, 8, 8), torch.randn(1, 9, 16, 16)
    sums.append(smeared(value, weight, 3).mul(torch.arange(16.0)).sum().item())
print(json.dumps([seen, sums, str(smeared.library)]))
"""


def calls(source: Path, **options: object) -> tuple[list[str], list[float], str]:
    """The kernels of a call in the bucket and of one outside, sums of their results, and the library, elsewhere."""
    environment = dict(os.environ, PYTHONPATH=str(BUILD / "python"))
    ran = subprocess.run([sys.executable, "-c", CALLS, str(source), json.dumps(options)], capture_output=True, text=True,
                         check=False, env=environment)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def one_knob(space: Space, name: str, count: int) -> Space:
    """A few values of this knob, the others as the hand schedule has them."""
    [knob] = [knob for knob in space.declared["knobs"] if knob["name"] == name]
    others = [i for i, other in enumerate(space.names) if other != name]
    hand = [space.indices(space.hand)[space.names[i]] for i in others]
    legal = [point[space.names.index(name)] for point in space.legal if [point[i] for i in others] == hand]
    own = space.indices(space.hand)[name]
    chosen = [own, *sorted(set(legal) - {own})][:count]
    return Space({"knobs": [knob], "rules": [], "legal": [[index] for index in chosen]})


def test_one_knob_is_tuned_and_the_next_build_takes_it(source, tmp_path, monkeypatch, capsys):
    """Where any candidate that is right seems faster."""
    space = Session.space
    monkeypatch.setattr(Session, "space", lambda self, kernel: one_knob(space(self, kernel), "strip_rows", 3))
    monkeypatch.setattr("autotune.tune.search.is_faster", lambda record: "rounds" in record)
    monkeypatch.setattr("autotune.tune.search.slower_at", lambda record: [])
    plain, sums, by_hand = calls(source)
    assert plain == ["upwell_smeared_k3_r2_float32_cpu"] * 2
    main([str(source), "smeared", *SHAPE, "--only", "smeared", "--trials", "3", "--threads", "1", "--no-compare", "--storage",
          str(tmp_path / "study.journal"), "--results", str(tmp_path / "results.json")], BUILD)
    kept = table_of(source)
    said = capsys.readouterr()
    assert f"Table: {kept}; upwell.build('{source}', ...) takes it" in said.out
    assert "trial" in said.err  # progress
    [entry] = table.read(kept).entries
    assert (entry.kernel, entry.direction, entry.kernel_size, entry.ratio) == ("smeared", "forward", 3, 2)
    assert entry.bucket == table.bucket_of(16, 64, 1, 1)
    assert set(entry.parameters) == {"strip_rows"} and entry.measured.shape == "smeared 1,16,8,8 ratio 2 kernel 3"
    symbols, tuned_sums, library = calls(source)
    assert symbols == ["upwell_smeared_k3_r2_float32_cpu_tuned_1", "upwell_smeared_k3_r2_float32_cpu"]
    assert tuned_sums == pytest.approx(sums, rel=1e-5) and library != by_hand
    assert calls(source, tuned=False) == [plain, sums, by_hand]
    moved = kept.rename(tmp_path / "mine.json")
    assert calls(source) == [plain, sums, by_hand]
    assert calls(source, tuned=str(moved)) == [symbols, tuned_sums, library]
