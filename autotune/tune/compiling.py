"""Candidates: from a generator and its parameters to a shared library, compiled once."""

import hashlib
import json
import os
import resource
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from autotune.tune.kernels import Kernel, TuneError

AUTOSCHEDULERS = {
    "adams2019": ("adams2019", "Adams2019"),
    "mullapudi2016": ("mullapudi2016", "Mullapudi2016"),
    "anderson2021": ("anderson2021", "Anderson2021"),
}
# Adams2019 asks for loops to be unrolled whose extents are known by its estimates alone; they stay loops then.
_ENVIRONMENT = {"HL_PERMIT_FAILED_UNROLL": "1"}
AUTOSCHEDULER_LIMIT = 120.0  # seconds
_MEMORY = 10 << 30  # bytes that a compilation may take: an autoscheduler can ask for all there is


@dataclass(frozen=True)
class Candidate:
    """A way to schedule a kernel."""

    kernel: Kernel
    target: str
    parameters: tuple[tuple[str, str], ...]  # beyond the kernel's own; sorted

    @property
    def arguments(self) -> list[str]:
        """For the generator program."""
        features = ["no_runtime", *self.kernel.features]
        own = dict(p.split("=", 1) for p in self.kernel.parameters) | dict(self.parameters)
        return [f"target={'-'.join([self.target, *features])}", *(f"{name}={value}" for name, value in own.items())]


def candidate(kernel: Kernel, target: str, parameters: Mapping[str, object]) -> Candidate:
    return Candidate(kernel, target, tuple(sorted((name, str(value)) for name, value in parameters.items())))


@dataclass(frozen=True)
class Compiled:
    """A library with the function `symbol`, or why there is none."""

    symbol: str
    library: Path | None
    object_file: Path | None
    detail: str  # what the generator said where it refused
    seconds: float  # of the compilation, also where the cache had it

    @property
    def outcome(self) -> str:
        return "ok" if self.library else "refused"


class Compiler:
    """Runs generators, and keeps what they made under `cache` by what went in: program, target, parameters."""

    def __init__(self, cache_folder: Path, time_limit: float = 240):
        """time_limit: seconds for one compilation; autoschedulers have a limit of their own."""
        self.cache = cache_folder
        self.time_limit = time_limit
        self._locks: dict[str, threading.Lock] = {}
        self._lock = threading.Lock()

    def compile(self, wanted: Candidate, autoscheduler: str | None = None, threads: int = 1) -> Compiled:
        """The candidate as a library without a Halide runtime of its own. autoscheduler: a key of AUTOSCHEDULERS."""
        arguments = wanted.arguments
        if autoscheduler:
            name, title = AUTOSCHEDULERS[autoscheduler]
            arguments = [*arguments, f"autoscheduler={title}", "-p", str(_plugin(name))]
            if title != "Anderson2021":
                arguments.append(f"autoscheduler.parallelism={threads}")
        limit = AUTOSCHEDULER_LIMIT if autoscheduler else self.time_limit
        key = _key(wanted.kernel, [*arguments, f"{limit} s"] if autoscheduler else arguments)
        with self._lock:
            lock = self._locks.setdefault(key, threading.Lock())
        with lock:
            folder = self.cache / key[:2] / key
            if not (folder / "result.json").exists():
                try:
                    self._make(wanted, arguments, folder, f"candidate_{key[:16]}", limit)
                except subprocess.TimeoutExpired:
                    late = Compiled("", None, None, f"not compiled within {limit:.0f} s", limit)
                    if autoscheduler:  # of others nothing is kept: a machine with less to do may be fast enough
                        _write(folder, late, arguments)
                    return late
            return _read(folder)

    def space(self, wanted: Candidate) -> dict | None:
        """What can be tuned in this kernel (schedules/knobs.h), or None where it has no knobs."""
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "space.json"
            arguments = [*wanted.arguments, f"space={file}"]
            result = self._generate(wanted.kernel, arguments, Path(folder), "space", "c_header", self.time_limit)
            if file.exists():
                return json.loads(file.read_text())
            if not result or "has no GeneratorParam named: space" in result:
                return None
            raise TuneError(f"{wanted.kernel.generator}: {result.strip()}")

    def runtime(self, kernel: Kernel) -> Path:
        """Halide's runtime for the kernel's targets, as a library of its own."""
        content = hashlib.sha256(kernel.runtime.read_bytes()).hexdigest()[:16]
        library = self.cache / f"runtime_{content}.so"
        if not library.exists():
            self.cache.mkdir(parents=True, exist_ok=True)
            part = library.with_suffix(f".{os.getpid()}.part")
            link_library(part, whole_archive(kernel.runtime))
            part.replace(library)
        return library

    def _make(self, wanted: Candidate, arguments: list[str], folder: Path, symbol: str, limit: float) -> None:
        """Fills a folder of the cache. It appears whole or not at all."""
        folder.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(dir=folder.parent, prefix="part-"))
        try:
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            detail = self._generate(wanted.kernel, arguments, work, symbol, "object", limit)
            object_file, library = work / f"{symbol}.o", work / f"{symbol}.so"
            if object_file.exists():
                link_library(library, [str(object_file)])
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            made = library if library.exists() else None
            _write(work, Compiled(symbol, made, object_file if made else None, detail.strip(), seconds), arguments)
            shutil.rmtree(folder, ignore_errors=True)
            work.replace(folder)
        except BaseException:
            shutil.rmtree(work, ignore_errors=True)
            raise

    def _generate(
        self, kernel: Kernel, arguments: list[str], folder: Path, symbol: str, emit: str, limit: float
    ) -> str:
        """Runs the generator; returns what it said, if it failed. Ctrl-C is for the tuner alone."""
        described = ["--operators", str(kernel.operators)] if kernel.operators else []
        command = [str(kernel.program), *described, "-g", kernel.generator, "-f", symbol, "-o", str(folder), "-e", emit]
        try:
            result = subprocess.run(
                [*command, *arguments], capture_output=True, text=True, timeout=limit, check=False,
                start_new_session=True, preexec_fn=_limit_memory, env=dict(os.environ, **_ENVIRONMENT),
            )
        except FileNotFoundError:
            raise TuneError(f"{kernel.program} is missing: run `make build` first") from None
        if result.returncode == 0:
            return ""
        for leftover in folder.glob(f"{symbol}.o"):
            leftover.unlink()
        return (result.stderr or result.stdout or f"ended with {result.returncode}")[-2000:]


def _limit_memory() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))


def _key(kernel: Kernel, arguments: list[str]) -> str:
    text = json.dumps([*_hashes(kernel), kernel.generator, arguments])
    return hashlib.sha256(text.encode()).hexdigest()[:40]


def _hashes(kernel: Kernel) -> list[str]:
    """Of what a kernel is made by."""
    files = filter(None, (kernel.program, kernel.operators))
    return [_hash(file, file.stat().st_mtime_ns) for file in files]


@cache
def _hash(file: Path, _changed: int) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def program_hash(kernel: Kernel) -> str:
    """Changes with the generator program and the description: what was measured with another one is another study."""
    return "-".join(one[:12] for one in _hashes(kernel))


def _write(folder: Path, compiled: Compiled, arguments: list[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    record = {"symbol": compiled.symbol, "library": compiled.library is not None, "detail": compiled.detail,
              "seconds": compiled.seconds, "arguments": arguments}
    (folder / "result.json").write_text(json.dumps(record, indent=1))


def _read(folder: Path) -> Compiled:
    record = json.loads((folder / "result.json").read_text())
    symbol, made = record["symbol"], record["library"]
    return Compiled(
        symbol,
        folder / f"{symbol}.so" if made else None,
        folder / f"{symbol}.o" if made else None,
        record["detail"],
        record["seconds"],
    )


def whole_archive(runtime: Path) -> list[str]:
    """What the linker has to be told to take all of Halide's runtime."""
    return ["-Wl,--whole-archive", str(runtime), "-Wl,--no-whole-archive", "-lpthread", "-ldl"]


def link_library(library: Path, inputs: list[str]) -> None:
    """A shared library from object files and flags."""
    command = ["g++", "-shared", "-o", str(library), *inputs]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise TuneError(f"cannot link {library.name}: {result.stderr.strip()}")


def _plugin(name: str) -> Path:
    """Halide's plugin, which lies beside its library."""
    halide = Path(find_spec("halide").submodule_search_locations[0])
    found = sorted(halide.glob(f"lib*/libautoschedule_{name}.so"))
    if not found:
        raise TuneError(f"Halide came without its autoscheduler {name}")
    return found[0]
