"""The command line: upwell tune OPERATOR --shape N,C,h,w, all the shapes of workloads/tune.csv, or FILE.cpp
(docs/tuning.md)."""

import argparse
import csv
import json
import os
import re
import shlex
import sys
import tempfile
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import optuna

from autotune.origin import ROOT
from autotune.tune.alone import alone
from autotune.tune.case import Finding
from autotune.tune.described import DescribedWorkload, Library, is_source, table_of
from autotune.tune.kernels import INSTRUCTION_SETS, TuneError, this_instruction_set
from autotune.tune.session import Options, Session
from autotune.tune.storage import StorageError
from autotune.tune.summary import comparisons_table, findings_table
from autotune.tune.table import TableError
from autotune.tune.workload import OPERATORS, Workload, parse_shape

_STANDARD = ROOT / "autotune" / "workloads" / "tune.csv"
_TAPS = {"carafe": 5, "carafe_reassembly": 5, "bilinear": 1, "nearest": 1}
_GROUPED = ("pcdc", "pcdc_scores", "semantic_scores", "detail_scores")
_WITH_GROUPS = ("carafe", "carafe_reassembly", *_GROUPED)
_WITH_KERNEL = ("fns", *_WITH_GROUPS)
_SECONDS = {"s": 1, "m": 60, "h": 3600}


def main(argv: Sequence[str] | None = None, build: Path | None = None) -> None:
    """build: the folder to tune where --build does not say."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    parser = command_line(build or ROOT / "build" / "cpu")
    chosen = parser.parse_intermixed_args(argv)
    _check(parser, chosen)
    try:
        if chosen.apply:
            from autotune.tune.apply import apply

            with alone(chosen.threads):
                status = apply(chosen.build, chosen.table, chosen.threads)
            sys.exit(status)
        if chosen.record:
            record(chosen)
            return
        (pack if chosen.pack else tune)(chosen, ["upwell", "tune", *(sys.argv[1:] if argv is None else argv)])
    except (TuneError, StorageError, TableError) as error:
        parser.exit(2, f"upwell tune: {error}\n")  # without the usage, which would hide it
    except KeyboardInterrupt:
        print("\nInterrupted. Everything measured is kept; the same command goes on from here.", file=sys.stderr)
        sys.exit(130)


def command_line(build: Path) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="upwell tune", description="Search faster schedules for this machine.")
    parser.add_argument("operator", nargs="?", type=_operator, metavar="OPERATOR",
                        help=f"one of {', '.join(OPERATORS)}; or all: the shapes of autotune/workloads/tune.csv; or a "
                             "FILE.cpp that describes operators, as upwell.build() takes it")
    parser.add_argument("described", nargs="*", metavar="NAME", help="of the operators in FILE.cpp these alone")
    parser.add_argument("--shape", metavar="N,C,h,w", help="of the low-res map")
    parser.add_argument("--ratio", type=_positive, default=4, help="high-res pixels per low-res cell and axis (4)")
    parser.add_argument("--kernel", type=_positive, help="taps per side (3; carafe 5)")
    parser.add_argument("--groups", type=_positive, help="of channels (1; PCDC 4)")
    parser.add_argument("--channels", type=_channels, default=(), metavar="D=32,...",
                        help="of FILE.cpp: maps whose channels are named so have this many, and not C")
    parser.add_argument("--border", help="of FILE.cpp: one of its choices (the first)")
    parser.add_argument("--any-size", action="store_true",
                        help="of FILE.cpp: the kernels that run where upwell.build() was not given this ratio")
    parser.add_argument("--dtype", choices=("float32",), default="float32", help="no other can be tuned yet")
    parser.add_argument("--direction", choices=("all", "forward", "backward", "d_value", "d_weight"), default="all",
                        help="backward: every kernel of the backward pass; d_value, d_weight: one gradient of fns, ...")
    parser.add_argument("--only", action="append", default=[], metavar="NAME",
                        help="of the compiled kernels that an operator runs only this one, e.g. pcdc_scores_backward; "
                             "repeatable")
    parser.add_argument("--target", choices=("host", "avx512", "avx2", "cuda", "opencl"), default="host",
                        help="what kernels are compiled for; host: the best that this processor has")
    parser.add_argument("--trials", type=_positive, default=60, help="candidates measured for each kernel (60)")
    parser.add_argument("--budget", type=_duration, default=600.0, metavar="10m", help="time for each kernel")
    parser.add_argument("--seed", type=_seed, default=1, help="of the search (1)")
    parser.add_argument("--threads", type=_positive, default=len(os.sched_getaffinity(0)),
                        help="that kernels run on while they are measured (%(default)s, all of this machine)")
    parser.add_argument("--storage", metavar="URL",
                        help="postgresql://..., shared by many machines; sqlite:///FILE; or a .journal file (one for "
                             "each kernel)")
    parser.add_argument("--table", type=Path, help="the tuned table (schedules/tuned/<machine class>.json)")
    parser.add_argument("--build", type=Path, default=build, help="the build folder (%(default)s)")
    parser.add_argument("--results", type=Path, help="file that collects the comparisons (<build>/tune/results.json)")
    parser.add_argument("--timings", type=Path, help="take timings from this file instead of the clock")
    parser.add_argument("--no-compare", action="store_true", help="leave out autoschedulers and the machine's limit")
    parser.add_argument("--pack", type=Path, metavar="FOLDER",
                        help="compile candidates for --target cuda into a folder that is timed elsewhere")
    parser.add_argument("--candidates", type=_positive, default=100, help="of each kernel in a pack (100)")
    parser.add_argument("--record", type=Path, metavar="TIMINGS", help="take in the timings of a pack")
    parser.add_argument("--apply", action="store_true",
                        help="rebuild with the tuned table and measure afresh whether it is faster")
    return parser


def _check(parser: argparse.ArgumentParser, chosen: argparse.Namespace) -> None:
    """Refuses options that say nothing together, and what cannot be written in the end."""
    if chosen.apply or chosen.record:
        given = {"OPERATOR": chosen.operator, "--shape": chosen.shape, "--pack": chosen.pack, "--only": chosen.only,
                 "--timings": chosen.timings, "--apply": chosen.record and chosen.apply}
        strange = [name for name, value in given.items() if value]
        if strange:
            parser.error(f"{'--record' if chosen.record else '--apply'} goes without {', '.join(strange)}")
    elif not chosen.operator:
        parser.error("which operator? One of " + ", ".join((*OPERATORS, "all")) + ", or a FILE.cpp")
    elif chosen.operator == "all" and chosen.shape:
        parser.error("all has shapes of its own: --shape goes with one operator")
    elif is_source(chosen.operator):
        if chosen.pack or chosen.target != "host":
            parser.error("operators of a file are tuned for this processor: without --pack and --target")
    else:
        given = {" ".join(chosen.described): chosen.described, "--channels": chosen.channels, "--border": chosen.border,
                 "--any-size": chosen.any_size}
        strange = [name for name, value in given.items() if value]
        if strange:
            parser.error(f"{', '.join(strange)}: for the operators of a FILE.cpp, which {chosen.operator} is not")
    for option, file in (("--results", chosen.results), ("--table", chosen.table)):
        if file and not chosen.apply and not _can_write(file):
            parser.error(f"{option} {file} cannot be written")


def _can_write(file: Path) -> bool:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("a") if file.exists() else tempfile.TemporaryFile(dir=file.parent):
            return True
    except OSError:
        return False


def tune(chosen: argparse.Namespace, command: list[str]) -> None:
    """Tunes, prints the table of findings, and writes the report."""
    options, workloads = _options(chosen, command), _workloads(chosen)
    if source := chosen.operator if is_source(chosen.operator) else None:
        options = replace(options, library=workloads[0].library, table=chosen.table or table_of(Path(source)))
    session = Session(options)
    try:
        with nullcontext() if chosen.timings else alone(chosen.threads):
            for workload in workloads:
                session.tune(workload, chosen.direction)
    finally:
        if session.findings:
            conclude(session.findings, session.folder, chosen.results)
    if source and options.table.exists():
        given = f", tuned={str(chosen.table)!r}" if chosen.table else ""
        print(f"Table: {options.table}; upwell.build({source!r}, ...{given}) takes it from the next process on.")


def pack(chosen: argparse.Namespace, command: list[str]) -> None:
    """Writes a pack of candidates for a GPU machine."""
    from autotune.tune.pack import Pack

    if chosen.target not in ("cuda", "opencl"):
        raise TuneError("--pack is for --target cuda, or opencl for a dry run")
    made = Pack(Session(_options(chosen, command)), chosen.target, chosen.pack, chosen.candidates)
    for workload in _workloads(chosen):
        made.add(workload, chosen.direction)
    print(f"{chosen.pack}: {made.finish() / 2**20:.1f} MiB. There: PYTHONPATH=. python -m autotune.tune.timing; back here: "
          "upwell tune --record timings.json")


def record(chosen: argparse.Namespace) -> None:
    """Takes in what a pack brought back."""
    from autotune.tune.packed import read_timings

    folder = chosen.build.resolve() / "tune"
    conclude(read_timings(chosen.record, chosen.build.resolve(), chosen.table), folder, chosen.results)


def _options(chosen: argparse.Namespace, command: list[str]) -> Options:
    host = this_instruction_set()
    on_gpu = chosen.target in ("cuda", "opencl")
    if not on_gpu and host == "baseline":
        raise TuneError("this processor has no AVX2: there are tables for those that have")
    wanted = host if on_gpu or chosen.target == "host" else chosen.target
    if INSTRUCTION_SETS.index(wanted) > INSTRUCTION_SETS.index(host):
        raise TuneError(f"this processor has no {wanted}")
    if chosen.target == "cuda" and not chosen.pack:
        raise TuneError("--target cuda needs --pack: candidates are compiled here and timed where the GPU is")
    return Options(
        build=chosen.build.resolve(), instruction_set=wanted, backend="opencl" if on_gpu else "cpu",
        threads=chosen.threads, trials=chosen.trials, budget=chosen.budget, seed=chosen.seed, storage=chosen.storage,
        table=chosen.table, timings=chosen.timings, command=shlex.join(command), compare=not chosen.no_compare,
        only=tuple(chosen.only),
    )


def _workloads(chosen: argparse.Namespace) -> list[Workload]:
    if chosen.operator == "all":
        return standard_workloads()
    if not chosen.shape:
        raise TuneError(f"{chosen.operator}: --shape N,C,h,w is missing")
    return _described(chosen) if is_source(chosen.operator) else [_workload(chosen)]


def _described(chosen: argparse.Namespace) -> list[Workload]:
    """Those of a file, which are compiled for it."""
    sizes, kernels = parse_shape(chosen.shape), [chosen.kernel] if chosen.kernel else []
    library = Library.of(Path(chosen.operator), kernels, [] if chosen.any_size else [chosen.ratio])
    operators = library.operators()
    for name in chosen.described:
        if name not in operators:
            raise TuneError(f"{chosen.operator} describes {', '.join(operators)}, but not {name}")
    found = []
    for name in chosen.described or operators:
        usual = operators[name]["kernel"]
        if chosen.kernel and usual is None:
            raise TuneError(f"{name} has no --kernel")
        found.append(DescribedWorkload(
            name, *sizes, chosen.ratio, chosen.kernel or usual or 1, chosen.groups or 1, chosen.dtype,
            channels=chosen.channels, border=chosen.border or "", library=library, description=operators[name],
        ))
    return found


def conclude(findings: Sequence[Finding], folder: Path, results: Path | None) -> None:
    """Prints what was found, adds it to the results file and draws it."""
    from autotune.tune.report import write_report

    results = results or folder / "results.json"
    comparisons = [finding.comparison for finding in findings]
    collect(results, comparisons)
    print("\n\n".join(filter(None, (findings_table(findings), comparisons_table(comparisons)))))
    report = write_report([f.study for f in findings], comparisons, folder / "report")
    print(f"\nComparisons: {results}\nReport: {report}")


def collect(results: Path, comparisons: list[dict]) -> None:
    """Puts comparisons into the file in the places of those of the same kernel and shape; sorted."""
    known = json.loads(results.read_text()) if results.exists() else []
    rows = {_place(row): row for row in [*known, *comparisons]}
    results.parent.mkdir(parents=True, exist_ok=True)
    results.write_text(json.dumps([rows[key] for key in sorted(rows)], indent=1) + "\n")


def _place(comparison: dict) -> tuple[str, str, str]:
    return comparison["class"], json.dumps(comparison["kernel"]), comparison["shape"]


def standard_workloads() -> list[Workload]:
    """The rows of workloads/tune.csv."""
    with _STANDARD.open(newline="") as lines:
        return [
            Workload(row.pop("operator"), **{name: int(value) for name, value in row.items()})
            for row in csv.DictReader(lines)
        ]


def _workload(chosen: argparse.Namespace) -> Workload:
    name = chosen.operator
    for option, value, those in (("--kernel", chosen.kernel, _WITH_KERNEL), ("--groups", chosen.groups, _WITH_GROUPS)):
        if value and name not in those:
            raise TuneError(f"{name} has no {option}")
    taps = chosen.kernel or _TAPS.get(name, 3)
    groups = chosen.groups or (4 if name in _GROUPED else 1)
    return Workload(name, *parse_shape(chosen.shape), chosen.ratio, taps, groups, chosen.dtype)


def _operator(text: str) -> str:
    known = (*OPERATORS, "all")
    if text not in known and not is_source(text):
        raise argparse.ArgumentTypeError(f"invalid choice: {text!r} (one of {', '.join(known)}, or a FILE.cpp)")
    return text


def _channels(text: str) -> tuple[tuple[str, int], ...]:
    """D=32,E=8."""
    pairs = [part.split("=") for part in text.split(",")]
    if not all(len(pair) == 2 and pair[0] and pair[1].isdecimal() for pair in pairs):
        raise argparse.ArgumentTypeError(f"{text} should be NAME=NUMBER, or several of these with commas")
    return tuple(sorted((name, int(count)) for name, count in pairs))


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} should be positive")
    return value


def _seed(text: str) -> int:
    value = int(text)
    if not 0 <= value < 2**32:
        raise argparse.ArgumentTypeError(f"{text} should be from 0 to 2^32 - 1")
    return value


def _duration(text: str) -> float:
    """90, 90s, 10m, 2h: seconds."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", text)
    if not match:
        raise argparse.ArgumentTypeError(f"{text} should be a time such as 90s, 10m or 2h")
    return float(match.group(1)) * _SECONDS[match.group(2) or "s"]


if __name__ == "__main__":
    main()
