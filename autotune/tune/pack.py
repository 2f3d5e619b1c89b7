"""Tuning on a machine where nothing of the project is installed: all candidates are compiled beforehand into one
library, which goes there with the recorded calls and the scripts that time them (timing.py); the timings come back."""

import json
import random
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tqdm import tqdm

from autotune.origin import ROOT
from autotune.tune.compare import DEFAULT, autoschedulers_for
from autotune.tune.compiling import Compiled, candidate, link_library, whole_archive
from autotune.tune.kernels import Kernel, TuneError
from autotune.tune.measuring import HAND, Subject, write_reference
from autotune.tune.problem import load
from autotune.tune.session import Session
from autotune.tune.space import Space
from autotune.tune.workload import Workload

LARGEST = 64 << 20  # bytes of the whole pack
_SCRIPTS = ("__init__", "kernels", "compiling", "halide", "problem", "measuring", "replay", "timing")  # of tune


class Pack:
    """A folder with a library of candidates."""

    def __init__(self, session: Session, backend: str, folder: Path, most: int):
        """most: candidates of each kernel, drawn by the session's seed where its space has more."""
        self.session, self.backend, self.folder, self.most = session, backend, folder, most
        self._objects: list[Path] = []
        self._kernels: list[dict[str, object]] = []
        self._runtime: Path | None = None
        (folder / "calls").mkdir(parents=True, exist_ok=True)

    def add(self, workload: Workload, direction: str) -> None:
        """The kernels of an operator: their calls are recorded on the GPU kernels that PoCL runs."""
        for recorded, file in self.session.record(workload, direction):
            kernel = self._for_backend(recorded)
            space = self.session.space(kernel)
            if space:
                self._add(workload, kernel, space, recorded, file)

    def _for_backend(self, recorded: Kernel) -> Kernel:
        symbol = recorded.symbol.removesuffix("_opencl") + f"_{self.backend}"
        return self.session.catalogue[symbol]

    def _add(self, workload: Workload, kernel: Kernel, space: Space, recorded: Kernel, file: Path) -> None:
        name = f"{len(self._kernels)}_{kernel.symbol}"
        problem, reference = self.folder / "calls" / f"{name}.npz", self.folder / "calls" / f"{name}_reference.npz"
        shutil.copyfile(file, problem)
        self._write_reference(recorded, problem, reference)
        points = sorted(space.legal)
        random.Random(self.session.options.seed).shuffle(points)
        chosen = [p for p in points if space.parameters(p) != space.hand][: self.most - 1]
        parameters = {HAND: space.hand, **{f"point {k}": space.parameters(p) for k, p in enumerate(chosen)}}
        title = f"{kernel.generator}, {workload.shape}"
        compiled = self._compile(kernel, parameters | {HAND: {}}, load(file).estimates, title)
        channels, pixels, samples = workload.extent(kernel)
        self._runtime = kernel.runtime
        self._kernels.append({
            "symbol": kernel.symbol, "kernel": kernel.identity, "class": self.backend,
            "shape": workload.shape, "channels": channels, "pixels": pixels, "samples": samples,
            "space": space.declared, "problem": f"calls/{problem.name}", "reference": f"calls/{reference.name}",
            "candidates": [
                {"name": name, "symbol": c.symbol if c.library else None, "detail": c.detail,
                 "parameters": parameters.get(name)}
                for name, c in compiled.items()
            ],
        })

    def _write_reference(self, recorded: Kernel, problem: Path, reference: Path) -> None:
        """By the kernel for float64, hand-scheduled, on PoCL."""
        compiler = self.session.compiler
        wide = compiler.compile(candidate(recorded, recorded.targets[0], {"type": "float64"}))
        if not wide.library:
            raise TuneError(f"{recorded.generator}: the reference was not compiled: {wide.detail}")
        threads = self.session.options.threads
        write_reference(Subject(problem, reference, compiler.runtime(recorded), threads), wide)

    def _compile(self, kernel: Kernel, wanted: dict, estimates: str, title: str) -> dict[str, Compiled]:
        """All of them, the default schedule and the autoschedulers; their objects are kept for the library."""
        compiler, target, threads = self.session.compiler, kernel.targets[0], self.session.options.threads
        jobs = [(name, parameters, None) for name, parameters in wanted.items()]
        jobs += [(name, {"estimates": estimates}, name) for name in autoschedulers_for(kernel.backend)]
        jobs.append((DEFAULT, {"default_schedule": "true"}, None))

        def make(job: tuple) -> Compiled:
            _, parameters, autoscheduler = job
            return compiler.compile(candidate(kernel, target, parameters), autoscheduler, threads)

        with ThreadPoolExecutor(threads) as pool:
            made = list(tqdm(pool.map(make, jobs), total=len(jobs), desc=title, unit="candidate"))
        compiled = {job[0]: c for job, c in zip(jobs, made)}
        known = {path.name for path in self._objects}
        self._objects += [c.object_file for c in made if c.library and c.object_file.name not in known]
        return compiled

    def finish(self) -> int:
        """Links the library and writes the manifest; the size of the pack in bytes."""
        if not self._kernels:
            raise TuneError("no kernel of these operators has anything to tune")
        library = self.folder / "candidates.so"
        objects = sorted({str(path) for path in self._objects})
        link_library(library, [*objects, *whole_archive(self._runtime)])
        (self.folder / "autotune" / "tune").mkdir(parents=True, exist_ok=True)
        for script in ("__init__", "origin", *(f"tune/{name}" for name in _SCRIPTS)):
            shutil.copyfile(ROOT / "autotune" / f"{script}.py", self.folder / "autotune" / f"{script}.py")
        options = self.session.options
        manifest = {"format": 1, "backend": self.backend, "library": library.name, "seed": options.seed,
                    "command": options.command, "kernels": self._kernels}
        (self.folder / "manifest.json").write_text(json.dumps(manifest) + "\n")
        size = sum(file.stat().st_size for file in self.folder.rglob("*") if file.is_file())
        if size > LARGEST:
            raise TuneError(f"the pack takes {size >> 20} MiB, more than {LARGEST >> 20}: ask for fewer candidates or "
                            "smaller shapes")
        return size
