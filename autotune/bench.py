"""Upwell beside torch eager and torch.compile, in one run, with what the machine could do at most.

    python autotune/bench.py                       all shapes; results in build/bench/
    python autotune/bench.py --quick               only the shapes of workloads/speed.csv, fewer rounds
    python autotune/bench.py --shapes 'fns_*'      only these names (shell patterns); --quick: in fewer rounds
    python autotune/bench.py --shapes 'narrow_*'   maps of 1 to 4 channels (workloads/narrow.csv), else left out
"""

import argparse
import fnmatch
import time
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import asdict
from pathlib import Path

import torch
from tqdm import tqdm

import report
import upwell
from candidates import (
    COMPILED,
    EAGER,
    EXACT,
    UPWELL,
    AnyWorkload,
    Trial,
    check_agreement,
    make_trials,
)
from filters import read_filters
from layers import read_layers
from machine import Limits, description, machine_library, measure_limits
from measure import interleave
from memory import measure_memory, observer
from workloads import FORWARD, TRAINING, read_workloads

_HERE = Path(__file__).resolve().parent
_ROOT = _HERE.parent
_BUDGET, _QUICK_BUDGET = 6.0, 1.5  # seconds of timed calls per shape and mode


def arguments() -> argparse.Namespace:
    """The command line."""
    as_written = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=as_written)
    parser.add_argument("--quick", action="store_true", help="only workloads/speed.csv, fewer rounds")
    parser.add_argument("--shapes", nargs="+", metavar="NAME", help="names or shell patterns of workloads")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="default: %(default)s")
    parser.add_argument("--dtype", choices=("float32", "float64"), default="float32")
    parser.add_argument("--out", type=Path, default=_ROOT / "build" / "bench", help="folder of the results")
    chosen = parser.parse_args()
    if chosen.threads < 1:
        parser.error(f"--threads should be at least 1 but is {chosen.threads}")
    return chosen


def choose_workloads(quick: bool, patterns: list[str] | None) -> list[AnyWorkload]:
    """The rows asked for; SystemExit with the list of names if a pattern matches none."""
    folder = _HERE / "workloads"
    known = read_workloads([folder / "speed.csv", folder / "resfu.csv"])
    known += read_filters(folder / "filters.csv") + read_layers(folder / "layers.csv")
    if patterns is None:
        return read_workloads([folder / "speed.csv"]) if quick else known
    known += read_workloads([folder / "narrow.csv"])
    for pattern in patterns:
        if not any(fnmatch.fnmatch(workload.name, pattern) for workload in known):
            names = ", ".join(workload.name for workload in known)
            raise SystemExit(f"bench: --shapes {pattern} is none of {names}")
    return [w for w in known if any(fnmatch.fnmatch(w.name, pattern) for pattern in patterns)]


def warm_up(
    trials: dict[str, Trial], workload: AnyWorkload, say: Callable[[str], None]
) -> tuple[dict[str, Trial], dict[str, dict]]:
    """Runs each trial once, compiling what compiles, and checks that all agree.

    Returns the trials that take part and, by name, what is known of each: seconds of its first call, or why
    it was skipped.
    """
    notes: dict[str, dict] = {}
    expected = None
    for name in [n for n in (EAGER, COMPILED, UPWELL, EXACT) if n in trials]:
        say(f"first call: {name}")
        start = time.perf_counter()
        try:
            results = trials[name]()
            seconds = time.perf_counter() - start
            expected = expected or results
            if name != EXACT:
                check_agreement(name, workload, results, expected)
        except Exception as error:
            if name != COMPILED:  # without a C++ compiler, or where torch fails or errs, the others can be timed
                raise
            notes[name] = {"skipped": f"{type(error).__name__}: {error}".strip().splitlines()[0]}
            continue
        notes[name] = {"first_call_s": seconds}
    return {name: trial for name, trial in trials.items() if "skipped" not in notes[name]}, notes


def bench_mode(
    workload: AnyWorkload,
    mode: str,
    dtype: torch.dtype,
    budget: float,
    memory: Executor,
    say: Callable[[str], None],
) -> dict:
    """Times, ratios to Upwell's time, peak memory and saved bytes of every candidate."""
    torch._dynamo.reset()  # no shape inherits the recompilation limit of another
    trials = make_trials(workload, mode, dtype)
    running, notes = warm_up(trials, workload, say)
    say("timing")
    for name, timing in interleave(running, budget).items():
        notes[name] |= asdict(timing)
    say("memory")
    for name, sizes in memory.submit(measure_memory, workload, mode, dtype, list(running)).result().items():
        notes[name] |= sizes | {"ratio": notes[name]["median_ms"] / notes[UPWELL]["median_ms"]}
    return {"candidates": {name: notes[name] for name in trials}}


def bench(workloads: list[AnyWorkload], dtype: torch.dtype, budget: float, memory: Executor) -> list[dict]:
    """The rows of the report, without the machine's limits."""
    rows = [asdict(workload) | {"shape": workload.shape, "modes": {}} for workload in workloads]
    steps = [(row, workload, mode) for row, workload in zip(rows, workloads) for mode in (FORWARD, TRAINING)]
    for row, workload, mode in (progress := tqdm(steps)):
        progress.set_description(f"{workload.name} {mode}")
        row["modes"][mode] = bench_mode(workload, mode, dtype, budget, memory, progress.set_postfix_str)
    return rows


def add_limits(row: dict, workload: AnyWorkload, limits: Limits, dtype: torch.dtype) -> None:
    """Adds the least time that the machine needs, and Upwell's share of it."""
    for mode, result in row["modes"].items():
        passes = workload.passes(mode, dtype)
        seconds, limited_by = limits.seconds(passes)
        result["passes"] = [asdict(work) for work in passes]
        result |= {"limit_ms": 1e3 * seconds, "limited_by": limited_by}
        result["share"] = result["limit_ms"] / result["candidates"][UPWELL]["median_ms"]


def main() -> None:
    """Runs everything and leaves JSON, Markdown and a picture."""
    chosen = arguments()
    torch.set_num_threads(chosen.threads)
    dtype = getattr(torch, chosen.dtype)
    workloads = choose_workloads(chosen.quick, chosen.shapes)
    library = machine_library(Path(upwell.__file__).parent)
    machine = description(chosen.threads)

    limits = measure_limits(library, chosen.threads, dtype)
    with observer(chosen.threads) as memory:
        rows = bench(workloads, dtype, _QUICK_BUDGET if chosen.quick else _BUDGET, memory)
    limits = limits.best(measure_limits(library, chosen.threads, dtype))
    for row, workload in zip(rows, workloads):
        add_limits(row, workload, limits, dtype)

    result = {"machine": machine, "dtype": chosen.dtype, "limits": asdict(limits), "rows": rows}
    files = report.write(result, chosen.out)
    print(report.markdown(result), *files, sep="\n")


if __name__ == "__main__":
    main()
