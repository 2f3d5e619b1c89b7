"""upwell tune on the command line: what it refuses, and one run of each kind on a small real kernel."""

import dataclasses
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from toy import BUILD

from autotune.tune import apply, table
from autotune.tune.__main__ import collect, command_line, main, standard_workloads
from autotune.tune.alone import alone
from autotune.tune.compiling import candidate
from autotune.tune.kernels import Catalogue, TuneError, this_instruction_set
from autotune.tune.measuring import measure
from autotune.tune.problem import Map, Problem, load
from autotune.tune.session import Options, Session
from autotune.tune.workload import Workload, parse_shape, parse_workload

pytestmark = pytest.mark.xdist_group("build")  # they write to the one folder of the build

ROOT = Path(__file__).parents[2]
SMALL = ["fns", "--shape", "1,16,8,8", "--direction", "forward", "--seed", "3"]


def refused(capsys, *argv: str) -> str:
    """What it says as it ends with status 2."""
    with pytest.raises(SystemExit) as end:
        main(list(argv), BUILD)
    assert end.value.code == 2
    return capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "which operator?"),
        (["fnss", "--shape", "1,2,3,4"], "invalid choice: 'fnss'"),
        (["fns"], "fns: --shape N,C,h,w is missing"),
        (["fns", "--shape", "1,2,3"], "--shape should be N,C,h,w (low-res, all positive) but is 1,2,3"),
        (["fns", "--shape", "1,0,3,4"], "but is 1,0,3,4"),
        (["fns", "--shape", "1,-1,-3,4"], "but is 1,-1,-3,4"),
        (["fns", "--shape", "1,2,3,x"], "but is 1,2,3,x"),
        (["fns", "--shape", "1,2,3,4", "--ratio", "0"], "0 should be positive"),
        (["fns", "--shape", "1,2,3,4", "--budget", "soon"], "soon should be a time such as 90s, 10m or 2h"),
        (["fns", "--shape", "1,2,3,4", "--target", "cuda"], "--target cuda needs --pack"),
        (["fns", "--shape", "1,2,3,4", "--pack", "x"], "--pack is for --target cuda"),
        (["fns", "--shape", "1,2,3,4", "--build", "/nowhere"], "/nowhere/runtime/kernels.json is missing: run `make"),
        (["nearest", "--shape", "1,2,3,4", "--direction", "d_weight"], "nearest: no kernel of the direction d_weight"),
        (["--record", "/nowhere/timings.json"], "these are not the timings of a pack"),
        ([*SMALL, "--storage", "postgresql://me:secret@127.0.0.1:1/x"], "127.0.0.1"),
        ([*SMALL, "--storage", "mysql://me:secret@host/x"], "--storage should be postgresql://"),
        (["fns", "--shape", "99999999999999999999,1,1,1"], "but is 99999999999999999999,1,1,1"),
        (["bilinear", "--shape", "1,2,3,4", "--kernel", "5"], "bilinear has no --kernel"),
        (["fns", "--shape", "1,2,3,4", "--groups", "3"], "fns has no --groups"),
        (["fns", "--shape", "1,2,3,4", "--dtype", "float64"], "invalid choice: 'float64'"),
        (["all", "--shape", "1,2,3,4"], "all has shapes of its own"),
        ([*SMALL, "--seed", "-5"], "-5 should be from 0 to 2^32 - 1"),
        ([*SMALL, "--results", "/tmp"], "--results /tmp cannot be written"),
        ([*SMALL, "--results", "/proc/x/results.json"], "--results /proc/x/results.json cannot be written"),
        ([*SMALL, "--table", "/proc/table.json"], "--table /proc/table.json cannot be written"),
        ([*SMALL, "--table", __file__], "command_test.py: "),
        (["--apply", "fns", "--shape", "1,2,3,4"], "--apply goes without OPERATOR, --shape"),
        (["--apply", "--record", "timings.json"], "--record goes without --apply"),
        (["--apply", "--table", "/nowhere.json"], "/nowhere.json"),
    ],
)
def test_bad_arguments_are_refused_with_a_reason(capsys, argv, message):
    said = refused(capsys, *argv)
    assert message in said
    assert "secret" not in said
    assert "Traceback" not in said


@pytest.mark.parametrize(("text", "seconds"), [("90", 90), ("90s", 90), ("1.5m", 90), ("2h", 7200)])
def test_budgets_are_times(text, seconds):
    assert command_line(BUILD).parse_args(["fns", "--budget", text]).budget == seconds


def test_shapes_read_back():
    for workload in [*standard_workloads(), Workload("pcdc_scores", 1, 8, 4, 5, 2, 3, 4)]:
        assert parse_workload(workload.shape, workload.dtype) == workload
    assert parse_shape("1,2,3,4") == (1, 2, 3, 4)
    with pytest.raises(TuneError, match="a shape should be like"):
        parse_workload("fns of some size", "float32")


@pytest.mark.parametrize(
    ("workload", "symbol", "shapes"),
    [
        (Workload("fns", 2, 128, 40, 40, 4, 3, 1), "upwell_fns_k3_r4_float32",
         ["64,40,40", "240,40,40", "128,32,32", "128,63,63"]),
        (Workload("fns", 1, 64, 64, 64, 4, 3, 1), "upwell_fns_k3_r4_float32", ["240,64,64", "64,127,127"]),
        (Workload("fns", 1, 3, 1, 3, 4, 3, 1), "upwell_fns_k3_r4_float32", ["1,1,3", "3,1,2"]),
        (Workload("guided_filter", 2, 32, 32, 32, 4, 3, 1), "upwell_guided_filter_float32", ["112,32,32", "32,63,63"]),
        (Workload("pcdc_scores", 1, 24, 20, 40, 4, 3, 4), "upwell_pcdc_scores_float32",
         ["16,20,40", "56,20,40", "24,12,23", "24,22,45"]),
    ],
    ids=str,
)
def test_neighbours_are_at_the_ends_of_the_bucket(workload, symbol, shapes):
    """Channels, height and width; channels in the steps of the tuned ones."""
    kernel = Catalogue(BUILD)[symbol]
    channels, pixels, samples = workload.extent(kernel)
    bucket = table.bucket_of(channels, pixels, samples, 2)
    found = workload.neighbours(kernel, bucket.channels, bucket.pixels)
    assert {f"{other.C},{other.h},{other.w}" for other in found} == set(shapes)
    for other in found:
        channels, pixels, _ = other.extent(kernel)
        assert table.bucket_of(channels, pixels, samples, 2) == bucket
        assert (other.N, other.ratio, other.kernel, other.C % other.groups) == (*_alike(workload), 0)


def _alike(workload: Workload) -> tuple:
    return workload.N, workload.ratio, workload.kernel


OPTIONS = Options(build=BUILD, instruction_set=this_instruction_set(), backend="cpu", threads=1, trials=4, budget=100,
                  seed=1, storage=None, table=None, timings=None, command="", compare=False)


def test_a_real_kernel_is_measured_at_its_neighbours_before_it_is_kept(tmp_path, monkeypatch):
    """Where any candidate that is right seems faster; a replay on other threads finds the same."""
    monkeypatch.setattr("autotune.tune.search.is_faster", lambda record: "rounds" in record)
    storage = tmp_path / "study.journal"
    options = dataclasses.replace(OPTIONS, storage=str(storage), table=tmp_path / "table.json")
    session, workload = Session(options), Workload("fns", 1, 16, 8, 8, 4, 3, 1)
    started = time.time()
    session.tune(workload, "forward")
    own = session.folder.glob("*/upwell_fns_k3_r4_*_threads_1_*_seed_1/timings.jsonl")  # others may be written meanwhile
    [notes] = [f for f in own if f.stat().st_mtime >= started]
    confirmed = [json.loads(line)["confirmed"] for line in notes.read_text().splitlines() if "confirmed" in line]
    measured = [record["neighbours"] for record in confirmed if "neighbours" in record]
    assert measured
    for neighbours in measured:
        assert [one["shape"] for one in neighbours] == [
            "fns 1,48,8,8 ratio 4 kernel 3", "fns 1,16,15,15 ratio 4 kernel 3"
        ]
        assert all(one["outcome"] == "ok" and one["rounds"] == 24 for one in neighbours)
    assert not (session.folder / "neighbours").exists()
    again = Session(dataclasses.replace(options, timings=notes, threads=3))
    again.tune(workload, "forward")
    assert again.findings[0].outcome == session.findings[0].outcome


def test_neighbours_are_recorded_as_calls_that_a_kernel_runs_on(tmp_path):
    session = Session(OPTIONS)
    session._passing = tmp_path
    workload = Workload("fns", 1, 16, 8, 8, 4, 3, 1)
    kernel = session.catalogue["upwell_fns_d_value_k3_r4_float32"]
    found = session.neighbours(workload, kernel)
    assert list(found) == ["fns 1,48,8,8 ratio 4 kernel 3", "fns 1,16,15,15 ratio 4 kernel 3"]
    for shape, make in found.items():
        subject, (_, C, h, w) = make(), parse_shape(shape.split()[1])
        assert make() is subject and tmp_path in subject.problem.parents
        assert load(subject.problem).arguments["d_output"].sizes == [1, C, 4 * h, 4 * w]
        hand = session.compiler.compile(candidate(kernel, session.target(kernel), {}))
        assert measure(subject, {"hand": hand}, 1).outcome == "ok"
    other = session.catalogue["upwell_fns_k5_r4_float32"]
    assert session._neighbour(workload, other) is None  # the operator does not run it there


def test_every_kernel_of_the_build_is_in_the_catalogue():
    catalogue = Catalogue(BUILD)
    kernel = catalogue["upwell_fns_d_value_k3_r4_float32"]
    assert catalogue["upwell_fns_d_value_k3_r4_float32_avx512_tuned_2"] == kernel
    assert kernel.identity == {"generator": "fns_d_value", "kernel": "fns", "direction": "d_value", "kernel_size": 3,
                               "ratio": 4, "dtype": "float32"}
    assert catalogue["upwell_guided_filter_backward_float64"].identity["direction"] == ""
    assert catalogue["upwell_guided_filter_float32_cuda"].backend == "cuda"
    with pytest.raises(TuneError, match="this build has no kernel upwell_nothing"):
        catalogue["upwell_nothing"]


def test_a_recorded_call_reads_back(tmp_path):
    import numpy as np

    data = np.arange(11, dtype=np.float32)
    x = Map(((1, 3, 1), (0, 2, 8)), data.dtype, data)
    call = Problem("kernel", {"x": x, "radius": 3, "eps": 0.5, "y": Map(x.dims, x.dtype, None)}, ("y",))
    call.save(tmp_path / "call.npz")
    again = load(tmp_path / "call.npz")
    assert list(again.arguments) == ["x", "radius", "eps", "y"]
    assert again.arguments["x"].dims == x.dims
    assert (again.arguments["x"].elements_of(again.arguments["x"].allocate()) == [[0, 1, 2], [8, 9, 10]]).all()
    assert np.isnan(again.arguments["y"].allocate()).all()
    assert again.estimates == "x:1,3;0,2 radius:3 eps:0.5 y:1,3;0,2"
    assert again.bytes == 2 * 6 * 4
    assert again.in_float64().arguments["x"].data.dtype == np.float64


def test_results_keep_the_newest_of_each_kernel_and_shape(tmp_path):
    def row(shape: str, trials: int) -> dict:
        return {"class": "x86-64-avx2", "kernel": {"generator": "fns"}, "shape": shape, "trials": trials}

    results = tmp_path / "results.json"
    collect(results, [row("b", 1), row("a", 2)])
    collect(results, [row("b", 3)])
    assert [(r["shape"], r["trials"]) for r in json.loads(results.read_text())] == [("a", 2), ("b", 3)]


def upwell_tune(*argv: object) -> subprocess.CompletedProcess:
    path = [str(BUILD / "python"), os.environ.get("PYTHONPATH", "")]
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(path), OMP_NUM_THREADS="1")
    command = [sys.executable, "-m", "upwell", "tune", *map(str, argv)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=280)


def test_a_real_kernel_is_tuned(tmp_path):
    """One call of the command: the table, the results and the report are there; a second one goes on, at once."""
    places = ["--table", tmp_path / "table.json", "--results", tmp_path / "results.json", "--no-compare",
              "--storage", tmp_path / "study.journal", "--trials", 5]
    first = upwell_tune(*SMALL, *places)
    assert first.returncode == 0, first.stderr
    assert "fns 1,16,8,8 ratio 4 kernel 3" in first.stdout
    [comparison] = json.loads((tmp_path / "results.json").read_text())
    assert comparison["trials"] == 5
    assert comparison["class"] == f"x86-64-{this_instruction_set()}"
    if (tmp_path / "table.json").exists():
        [entry] = table.read(tmp_path / "table.json").entries
        assert entry.bucket == table.bucket_of(16, 64, 1, len(os.sched_getaffinity(0)))
        assert entry.parameters == comparison["parameters"]
    again = upwell_tune(*SMALL, *places)
    assert again.returncode == 0, again.stderr
    assert json.loads((tmp_path / "results.json").read_text())[0]["trials"] == 5


@pytest.mark.skipif(not (BUILD / "torch_bridge" / "libupwell_torch_opencl.so").exists(), reason="no OpenCL library")
def test_a_pack_is_timed_elsewhere_and_taken_in(tmp_path):
    """A dry run on PoCL of what is done on a GPU machine, where only Python, numpy and the driver are."""
    pack = tmp_path / "pack"
    made = upwell_tune(*SMALL, "--target", "opencl", "--pack", pack, "--candidates", 3)
    assert made.returncode == 0, made.stderr
    size = sum(file.stat().st_size for file in pack.rglob("*") if file.is_file())
    assert size < 64 << 20
    timed = subprocess.run(
        [sys.executable, "-S", "-m", "autotune.tune.timing"], cwd=pack, capture_output=True, text=True, check=False, timeout=280,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join([".", _numpy_alone(tmp_path)])},
    )
    assert timed.returncode == 0, timed.stderr
    timings = json.loads((pack / "timings.json").read_text())
    outcomes = {name: record["outcome"] for name, record in timings["kernels"]["0"].items()}
    assert outcomes["hand"] == outcomes["point 0"] == outcomes["point 1"] == "ok"
    taken = upwell_tune("--record", pack / "timings.json", "--table", tmp_path / "table.json", "--results",
                        tmp_path / "results.json")
    assert taken.returncode == 0, taken.stderr
    [comparison] = json.loads((tmp_path / "results.json").read_text())
    assert comparison["class"] == "opencl"
    assert comparison["processor"] == "dry run on PoCL"


def test_a_table_that_cannot_be_built_leaves_the_build_folder_as_it_was(tmp_path, monkeypatch):
    steps = []

    def run(command, what):
        steps.append([str(part) for part in command][-1])
        if what == "building":
            raise TuneError("building failed")

    monkeypatch.setattr(apply, "_run", run)
    monkeypatch.setattr(apply, "cache_value", lambda build, name: {"UPWELL_TUNED": "before.json"}.get(name, "."))
    table.Table("x86-64-avx512").write(tmp_path / "table.json")
    with pytest.raises(TuneError, match="building failed"):
        apply.apply(BUILD, tmp_path / "table.json", 2)
    assert steps[0] == f"-DUPWELL_TUNED={tmp_path}/table.json"
    assert steps[-1] == "-DUPWELL_TUNED=before.json"


def test_one_tuner_at_a_time_measures_and_a_dead_one_does_not_count(capsys):
    code = "import sys, time; from autotune.tune.alone import alone\nwith alone(1): print('in', flush=True); time.sleep(600)"
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path))
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=environment) as other:
        assert other.stdout.readline() == "in\n"
        threading.Timer(1.5, other.kill).start()
        start = time.monotonic()
        with alone(1000):
            assert time.monotonic() - start > 1
    assert "waiting for it to end" in capsys.readouterr().err
    with alone(1000):
        pass
    assert capsys.readouterr().err == ""


def _numpy_alone(folder: Path) -> str:
    """A folder with numpy and nothing else of this environment."""
    import numpy

    alone = folder / "alone"
    alone.mkdir()
    site = Path(numpy.__file__).parents[1]
    for name in ("numpy", "numpy.libs"):
        if (site / name).exists():
            (alone / name).symlink_to(site / name)
    return str(alone)
