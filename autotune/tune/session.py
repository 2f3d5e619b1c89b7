"""From an operator at a shape to tuned kernels: record, search, choose, compare, keep."""

import datetime
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, partial
from importlib.metadata import version
from pathlib import Path

import optuna

from autotune import origin
from autotune.tune import compare, problem, table
from autotune.tune.case import Case, Circumstances, Finding
from autotune.tune.compiling import Compiler, candidate, program_hash
from autotune.tune.described import Library
from autotune.tune.kernels import Catalogue, Kernel, TuneError, machine_class
from autotune.tune.measuring import Subject, with_tolerance, write_reference
from autotune.tune.search import Bench, Recording, Search, create_study
from autotune.tune.space import Space
from autotune.tune.storage import open_storage
from autotune.tune.workload import Workload

_DIRECTIONS = {"d_value": ("_d_value",), "d_weight": ("_d_weight",), "backward": ("_d_value", "_d_weight", "_backward")}


@dataclass(frozen=True)
class Options:
    """How to tune."""

    build: Path
    instruction_set: str
    backend: str  # cpu or opencl
    threads: int
    trials: int
    budget: float  # seconds for each kernel
    seed: int
    storage: str | None
    table: Path | None  # None: schedules/tuned/<class>.json
    timings: Path | None  # recorded ones to take instead of the clock
    command: str
    compare: bool = True
    only: tuple[str, ...] = ()  # generators; empty: all
    library: Library | None = None  # of the operators; None: Upwell's own


@dataclass
class Session:
    """One run of the tuner on one build."""

    options: Options
    findings: list[Finding] = field(default_factory=list)

    def __post_init__(self):
        library = self.options.library
        self.catalogue = library.catalogue(self.options.build) if library else Catalogue(self.options.build)
        self.compiler = Compiler(self.options.build / "tune" / "cache")
        self.folder = self.options.build / "tune" / (library.name if library else "")
        self._passing = self.folder / "neighbours"  # recorded calls that are not kept
        self._limits = None
        self._machine = machine_class(self.options.backend, self.options.instruction_set)
        self._commit = commit(self.options.build)  # as it was before the table changed
        # A storage that is named is opened before anything else takes time.
        self._shared = open_storage(self.options.storage, self.folder) if self.options.storage else None

    def record(self, workload: Workload, direction: str) -> list[tuple[Kernel, Path]]:
        """The kernels of an operator's call that belong to the direction, and the recorded call of each."""
        folder, symbols = self._calls(workload, self.folder / "calls")
        kernels = [self.catalogue[symbol] for symbol in symbols]
        only = self.options.only
        wanted = [k for k in kernels if workload.owns(k) and _goes(k, direction) and (not only or k.generator in only)]
        return [(k, folder / f"{k.symbol}.npz") for k in wanted]

    def _calls(self, workload: Workload, place: Path) -> tuple[Path, list[str]]:
        """Where the recorded calls of an operator are, and the symbols of the kernels that it called."""
        folder = place / _slug(f"{self.options.backend} {workload.dtype} {workload.shape}")
        return folder, _record(self.options, workload, folder)

    def space(self, kernel: Kernel) -> Space | None:
        """What can be tuned in it."""
        declared = self.compiler.space(candidate(kernel, self.target(kernel), {}))
        return Space(declared) if declared and declared["knobs"] else None

    def target(self, kernel: Kernel) -> str:
        return kernel.target(self.options.instruction_set)

    def tune(self, workload: Workload, direction: str) -> None:
        """Every kernel of the operator that has knobs, one after the other."""
        if self.options.table and self.options.table.exists():
            table.read(self.options.table, self._machine)  # what is wrong with it is said before the search
        tunable = [(k, file, self.space(k)) for k, file in self.record(workload, direction)]
        tunable = [row for row in tunable if row[2]]
        if not tunable:
            among = f" among {', '.join(self.options.only)}" if self.options.only else ""
            raise TuneError(f"{workload.operator}: no kernel of the direction {direction}{among} has anything to tune")
        try:
            for kernel, file, space in tunable:
                self.findings.append(self._tune_kernel(workload, kernel, file, space))
        finally:
            shutil.rmtree(self._passing, ignore_errors=True)

    def _tune_kernel(self, workload: Workload, kernel: Kernel, file: Path, space: Space) -> Finding:
        options = self.options
        case = self._case(workload, kernel, space)
        name = f"{kernel.symbol} {case.shape} threads {options.threads} {program_hash(kernel)}"
        # The seed is part of a study's name (create_study), and its timings must be its own to be replayed.
        home = self.folder / self._machine / _slug(f"{name} seed {options.seed}")
        home.mkdir(parents=True, exist_ok=True)
        study = self._study(case, f"{case.machine} {name}", home)
        if options.timings:
            evaluator = self._recording(options.timings, space)
        else:
            subject = self.subject(kernel, file, home)
            evaluator = Bench(kernel, self.target(kernel), self.compiler, subject, {}, home / "timings.jsonl",
                              self.neighbours(workload, kernel))
        search = Search(study, space, evaluator, workers=options.threads, seed=options.seed)
        search.run(options.trials, options.budget, f"{kernel.generator}, {workload.shape}")
        outcome = search.choose()
        comparison = self._comparison(case, workload, kernel, file, evaluator, outcome)
        (home / "comparison.json").write_text(json.dumps(comparison, indent=1) + "\n")
        if not options.timings:
            case.keep(options.table or table_of(options.build, case.machine), outcome)
        return Finding(study, comparison, outcome)

    @staticmethod
    def _recording(file: Path, space: Space) -> Recording:
        try:
            return Recording(file, space)
        except ValueError as error:
            raise TuneError(str(error)) from None

    def subject(self, kernel: Kernel, file: Path, home: Path) -> Subject:
        """What candidates of this kernel are run on. The reference is the kernel for float64, hand-scheduled."""
        subject = Subject(
            file, home / f"reference-{program_hash(kernel)}.npz", self.compiler.runtime(kernel), self.options.threads,
            pool=self._pool(kernel),
        )
        if not subject.reference.exists() or subject.reference.stat().st_mtime < file.stat().st_mtime:
            wide = self.compiler.compile(candidate(kernel, self.target(kernel), {"type": "float64"}))
            if not wide.library:
                raise TuneError(f"{kernel.generator}: the reference was not compiled: {wide.detail}")
            write_reference(subject, wide)
        hand = self.compiler.compile(candidate(kernel, self.target(kernel), {}))
        if not hand.library:
            raise TuneError(f"{kernel.generator}: the hand schedule was not compiled: {hand.detail}")
        try:
            return with_tolerance(subject, hand)
        except RuntimeError as error:
            raise TuneError(f"{kernel.generator}: {error}") from None

    def neighbours(self, workload: Workload, kernel: Kernel) -> dict[str, Callable[[], Subject | None]]:
        """Other calls that would take this kernel's entry of the table, by shape: what candidates are run on there;
        None where such a call runs another kernel. Their files go when the operator is done: they may be large."""
        bucket = table.bucket_of(*workload.extent(kernel), self.options.threads)
        around = workload.neighbours(kernel, bucket.channels, bucket.pixels)
        return {other.shape: cache(partial(self._neighbour, other, kernel)) for other in around}

    def _neighbour(self, workload: Workload, kernel: Kernel) -> Subject | None:
        folder, symbols = self._calls(workload, self._passing)
        if kernel.symbol not in symbols:
            return None
        return self.subject(kernel, folder / f"{kernel.symbol}.npz", folder / kernel.symbol)

    def _pool(self, kernel: Kernel) -> Path | None:
        """The threads that the library runs on in torch; a GPU has its own."""
        if kernel.backend != "cpu":
            return None
        pool = self.options.build / "autotune" / "libupwell_pool.so"
        if not pool.exists():
            raise TuneError(f"{pool} is missing: run `make build` first")
        return pool

    def _case(self, workload: Workload, kernel: Kernel, space: Space) -> Case:
        options = self.options
        circumstances = Circumstances(
            processor(), options.threads, options.seed, datetime.date.today().isoformat(), self._commit,
            options.command, {"halide": version("halide"), "optuna": version("optuna")},
        )
        extent = workload.extent(kernel)
        return Case(kernel.identity, self._machine, workload.shape, extent, space.declared, circumstances)

    def _study(self, case: Case, name: str, home: Path) -> optuna.Study:
        """A study belongs to a class of machine, a kernel, a shape, a number of threads, a generator program and a
        seed."""
        storage = self._shared or open_storage(None, home / "study.journal")
        if self.options.timings:
            storage = optuna.storages.InMemoryStorage()
        study = create_study(storage, name, self.options.seed)
        case.describe(study)
        return study

    def _comparison(self, case, workload, kernel, file, evaluator, outcome) -> dict[str, object]:
        if not self.options.compare or not isinstance(evaluator, Bench):
            return case.comparison(outcome, [])
        call = problem.load(file)
        tuned = outcome.parameters if outcome.better else {}
        candidates = compare.compare(evaluator, call, self.options.threads, tuned)
        return case.comparison(outcome, candidates, *self._limit(call, workload, kernel))

    def _limit(self, call: problem.Problem, workload: Workload, kernel: Kernel) -> tuple[float | None, str | None]:
        """The least milliseconds on this machine, by what was measured of it in this run."""
        if kernel.backend != "cpu":
            return None, None
        import torch
        from autotune.bench.machine import machine_library, measure_limits
        from autotune.bench.workloads import Work

        torch.set_num_threads(self.options.threads)
        library = machine_library(self.options.build / "python" / "upwell")
        found = measure_limits(library, self.options.threads, getattr(torch, workload.dtype))
        self._limits = found.best(self._limits) if self._limits else found
        seconds, what = self._limits.seconds([Work(call.bytes, workload.multiply_adds(kernel))])
        return 1e3 * seconds, what


def table_of(build: Path, machine: str) -> Path:
    """Where the build takes the table of this class from."""
    return source_of(build) / "schedules" / "tuned" / f"{machine}.json"


def source_of(build: Path) -> Path:
    """The source directory of a build folder."""
    return Path(cache_value(build, "CMAKE_HOME_DIRECTORY"))


def cache_value(build: Path, name: str) -> str:
    """A variable of CMake's cache."""
    cache = build / "CMakeCache.txt"
    text = cache.read_text() if cache.exists() else ""
    match = re.search(rf"^{name}:\w+=(.*)$", text, re.MULTILINE)
    if not match:
        raise TuneError(f"{build} is no build folder of Upwell: run `make build` first")
    return match.group(1)


def commit(build: Path) -> str:
    """Of the build's sources; "" outside a checkout."""
    return origin.commit(source_of(build)) or ""


def processor() -> str:
    """As the system names it."""
    return origin.processor() or "unknown"


def _goes(kernel: Kernel, direction: str) -> bool:
    backward = kernel.generator.endswith(_DIRECTIONS["backward"])
    if direction == "all":
        return True
    return not backward if direction == "forward" else kernel.generator.endswith(_DIRECTIONS[direction])


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9.]+", "_", text).strip("_")


def _record(options: Options, workload: Workload, folder: Path) -> list[str]:
    """Runs the operator in a process of its own; what was recorded before is taken again."""
    index = folder / "symbols.json"
    library = options.build / "torch_bridge" / "libupwell_torch_opencl.so"
    environment = {"UPWELL_LIBRARY": str(library)} if options.backend == "opencl" else {}
    built = library if options.backend == "opencl" else options.build / "python" / "upwell" / "libupwell_torch.so"
    if not built.exists():
        raise TuneError(f"{built} is missing: run `make build` first")
    libraries = [built, *([Path(options.library.file)] if options.library else [])]
    if index.exists() and all(index.stat().st_mtime > library.stat().st_mtime for library in libraries):
        return json.loads(index.read_text())
    path = [str(origin.ROOT), str(options.build / "python")]
    described = json.dumps(workload.as_dict())
    command = [sys.executable, "-m", "autotune.tune.record", str(options.build), str(folder), described]
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(path), **environment)
    result = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if result.returncode != 0:
        said = result.stderr.strip().splitlines() or [f"the operator ended with {result.returncode}"]
        raise TuneError(f"{workload.shape}: {said[-1]}")
    symbols = json.loads(result.stdout.splitlines()[-1])
    index.write_text(json.dumps(symbols))
    return symbols
