"""Upwell beside torch on a GPU: eager, torch.compile, and the published CUDA extension where its sources are.

    python autotune/bench_gpu.py                          results in autotune/results/<device>-<date>.json
    python autotune/bench_gpu.py --published ../ReSFU     also FNS as the authors of ReSFU published it
    python autotune/bench_gpu.py --rows 'fns_*' resfu     only these rows (shell patterns)
    python autotune/bench_gpu.py --draw FILE.json         a table and a picture of results; runs anywhere
    python autotune/bench_gpu.py --device cpu --quick     a dry run on tiny maps

Needs Python, torch and the built package alone; --draw needs matplotlib.
"""

import argparse
import contextlib
import dataclasses
import fnmatch
import gc
import json
import re
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from candidates import COMPILED, EAGER, EXACT, UPWELL, AnyWorkload, Trial, check_agreement, make_trials
from filters import read_filters
from gpu_machine import description
from gpu_measure import clock, copy_bandwidth, least_bytes, peak_bytes
from layers import read_layers
from measure import interleave
from workloads import FORWARD, TRAINING, read_workloads

PUBLISHED = "published CUDA"
_HERE = Path(__file__).resolve().parent
_AUTOCAST = "bfloat16 autocast"
_ROUNDED = 5e-2  # of the output's norm, between candidates in autocast
_BUDGET, _QUICK_BUDGET = 4.0, 0.05  # seconds of timed calls per row and mode
_COMPILING = 0.7  # of the time limit: later, nothing new is compiled


@dataclass(frozen=True)
class Row:
    """A workload in float32, or under autocast."""

    workload: AnyWorkload
    precision: str = "float32"

    @property
    def name(self) -> str:
        """resfu, or resfu_bfloat16."""
        return self.workload.name + ("" if self.precision == "float32" else "_bfloat16")


def rows(quick: bool, patterns: list[str] | None) -> list[Row]:
    """What is timed; ReSFU also under autocast. SystemExit with the names if a pattern matches none."""
    folder = _HERE / "workloads"
    workloads = read_workloads([folder / "gpu.csv"]) + read_filters(folder / "gpu_filters.csv")
    workloads += read_layers(folder / "gpu_layers.csv")
    if quick:
        workloads = [dataclasses.replace(workload, N=1, h=8, w=8) for workload in workloads]
    known = [Row(workload) for workload in workloads]
    known += [Row(row.workload, _AUTOCAST) for row in known if row.workload.operator == "resfu"]
    for pattern in patterns or []:
        if not any(fnmatch.fnmatch(row.name, pattern) for row in known):
            raise SystemExit(f"bench_gpu: --rows {pattern} is none of {', '.join(row.name for row in known)}")
    return [row for row in known if patterns is None or any(fnmatch.fnmatch(row.name, p) for p in patterns)]


def trials_of(row: Row, mode: str, device: str, published: Callable | None) -> dict[str, Trial]:
    """Every candidate, eager first: what the others have to agree with."""
    made = make_trials(row.workload, mode, torch.float32, device)
    found = {name: made[name] for name in (EAGER, UPWELL, COMPILED, EXACT) if name in made}
    if published is not None and row.workload.operator == "fns":
        eager = made[EAGER]
        call = lambda value, logits: published(value, logits, row.workload.kernel)  # noqa: E731
        found[PUBLISHED] = Trial(call, eager.tensors, [], eager.d_output, mode)
    if row.precision == _AUTOCAST:
        for trial in found.values():
            trial.operator = _under_autocast(trial.operator, device)
    return found


def _under_autocast(operator: Callable, device: str) -> Callable:
    def call(*tensors: torch.Tensor) -> torch.Tensor:
        with torch.autocast(torch.device(device).type, dtype=torch.bfloat16):
            return operator(*tensors).float()  # as a loss does

    return call


@contextlib.contextmanager
def full_precision():
    """Convolutions in true float32, for comparing results; timed are torch's defaults."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before


def first_calls(row: Row, trials: dict[str, Trial], compile_too: bool) -> tuple[dict[str, dict], int]:
    """Runs each candidate once and compares; what is known of each, and the bytes that a call cannot do without."""
    notes: dict[str, dict] = {}
    expected: list | None = None
    least = 0
    for name, trial in trials.items():
        if name == COMPILED and not compile_too:
            notes[name] = {"skipped": "the time for compiling was over"}
            continue
        start = time.perf_counter()
        try:
            with full_precision():
                results = trial()
            notes[name] = {"first_call_s": time.perf_counter() - start}
            if expected is None:
                expected, least = results, least_bytes(trial, results)
            elif name != EXACT:
                notes[name]["difference"] = _compare(name, row, results, expected)
        except Exception as error:
            notes[name] = {"skipped": f"{type(error).__name__}: {error}".strip().splitlines()[0][:300]}
    return notes, least


def _compare(name: str, row: Row, results: list, expected: list) -> float:
    """The output's difference, of its norm; ValueError where candidates do not agree."""
    difference = ((results[0] - expected[0]).norm() / expected[0].norm()).item()
    if row.precision == _AUTOCAST or name == PUBLISHED:  # whose gradient of the value is another one at the border
        if not difference <= _ROUNDED:
            raise ValueError(f"differs on {row.name}, in the output, by {difference:.1e} of it")
    else:
        check_agreement(name, row.workload, results, expected)
    return difference


def bench_mode(row: Row, mode: str, device: str, budget: float, published: Callable | None, compile_too: bool) -> dict:
    """Times, peak memory and bytes per second of every candidate."""
    torch._dynamo.reset()
    trials = trials_of(row, mode, device, published)
    notes, least = first_calls(row, trials, compile_too)
    running = {name: trial for name, trial in trials.items() if "skipped" not in notes[name]}
    for name in list(running):
        try:
            running[name]()  # with the settings that are timed
            notes[name]["peak_bytes"] = peak_bytes(running[name], device)
        except RuntimeError as error:  # out of memory, most likely
            notes[name] = {"skipped": str(error).splitlines()[0][:300]}
            del running[name]
    for name, timing in interleave(running, budget, clock(device)).items():
        notes[name] |= asdict(timing) | {"bytes_per_s": 1e3 * least / timing.median_ms}
    if own := notes[UPWELL].get("median_ms"):
        for name in running:
            notes[name]["ratio"] = notes[name]["median_ms"] / own
    return {"least_bytes": least, "candidates": notes}


def bench(chosen: argparse.Namespace, published: Callable | None, done: Callable[[list[dict]], None]) -> list[dict]:
    """The rows of the report; done(rows so far) after each."""
    start, found = time.monotonic(), []
    for row in rows(chosen.quick, chosen.rows):
        entry = {"name": row.name, "shape": row.workload.shape, "precision": row.precision, "modes": {}}
        found.append(entry)
        for mode in (FORWARD, TRAINING):
            compile_too = time.monotonic() - start < _COMPILING * chosen.seconds
            budget = _QUICK_BUDGET if chosen.quick else _BUDGET
            result = bench_mode(row, mode, chosen.device, budget, published, compile_too)
            entry["modes"][mode] = result
            print(_line(row.name, mode, result), flush=True)
            gc.collect()
            if torch.device(chosen.device).type == "cuda":
                torch.cuda.empty_cache()
            done(found)
    return found


def _line(name: str, mode: str, result: dict) -> str:
    cells = []
    for candidate, note in result["candidates"].items():
        if "skipped" in note:
            cells.append(f"{candidate}: skipped ({note['skipped']})")
            continue
        memory = "" if note.get("peak_bytes") is None else f", {note['peak_bytes'] / 2**20:.0f} MiB"
        ratio = f", {note['ratio']:.2f}x" if "ratio" in note else ""
        spread = f"({note['low_ms']:.3f}-{note['high_ms']:.3f})"
        speed = f"{note['bytes_per_s'] / 1e9:.1f} GB/s"
        cells.append(f"{candidate}: {note['median_ms']:.3f} {spread} ms{ratio}, {speed}{memory}")
    return f"{name}, {mode}\n  " + "\n  ".join(cells)


def result_file(folder: Path, machine: dict) -> Path:
    """<device>-<date>.json, such as nvidia-h200-2026-01-31.json; with a number where that exists."""
    device = re.sub(r"[^a-z0-9]+", "-", str(machine["device"]).lower()).strip("-")
    stem = f"{device}-{str(machine['date'])[:10]}"
    names = [stem, *(f"{stem}-{i}" for i in range(2, 1000))]
    return next(folder / f"{name}.json" for name in names if not (folder / f"{name}.json").exists())


def arguments() -> argparse.Namespace:
    """The command line."""
    as_written = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=as_written)
    parser.add_argument("--device", default="cuda", help="default: %(default)s")
    parser.add_argument("--quick", action="store_true", help="tiny maps, for trying the benchmark itself")
    parser.add_argument("--rows", nargs="+", metavar="NAME", help="names or shell patterns")
    parser.add_argument("--published", type=Path, metavar="PATH", help="a checkout of the authors' repository")
    parser.add_argument("--seconds", type=float, default=460, help="about how long it may take; default: %(default)g")
    parser.add_argument("--out", type=Path, default=_HERE / "results", help="folder of the results")
    parser.add_argument("--draw", type=Path, metavar="FILE", help="only draw these results")
    return parser.parse_args()


def main() -> None:
    """Runs everything, or draws; the exit code says whether Upwell ran and agreed in every row."""
    chosen = arguments()
    if chosen.draw:
        import gpu_report  # it needs matplotlib

        print(*gpu_report.write(chosen.draw), sep="\n")
        return
    machine = description(chosen.device)
    published, note = None, None
    if chosen.published:
        try:
            from published import published_fns

            published = published_fns(chosen.published.resolve(), _HERE.parent / "build" / "published")
        except Exception as error:
            note = f"{type(error).__name__}: {str(error)[-1000:]}"
            print(f"the published extension was not built: {note}")
    chosen.out.mkdir(parents=True, exist_ok=True)
    file = result_file(chosen.out, machine)
    copy = copy_bandwidth(chosen.device)
    head = {"machine": machine, "quick": chosen.quick, "published": note, "copy_bytes_per_s": copy}
    print(f"{machine['device']}, torch {machine['torch']}: copy {copy / 1e9:.0f} GB/s", flush=True)

    def write(found: list[dict]) -> None:
        file.write_text(json.dumps({**head, "rows": found}, indent=1) + "\n")

    found = bench(chosen, published, write)
    print(file)
    wrong = [row["name"] for row in found for m in row["modes"].values() if "skipped" in m["candidates"][UPWELL]]
    if wrong:
        raise SystemExit(f"bench_gpu: Upwell did not run, or did not agree, on {', '.join(dict.fromkeys(wrong))}")


if __name__ == "__main__":
    main()
