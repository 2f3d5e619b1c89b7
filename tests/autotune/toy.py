"""A kernel that is compiled in a moment and does as it is told: what the tuner is tested on."""

import os
import sys
from pathlib import Path

import numpy as np
import optuna
from autotune.tune.compiling import Compiler, candidate
from autotune.tune.kernels import Kernel
from autotune.tune.measuring import Subject, write_reference
from autotune.tune.problem import Map, Problem
from autotune.tune.search import Bench, Search, create_study
from autotune.tune.space import Space
from autotune.tune.storage import open_storage

import toy_generator

BUILD = Path(os.environ.get("UPWELL_BUILD", Path(__file__).parents[2] / "build" / "cpu"))
RIGHT, WRONG, CRASH, HANG, UNWRITTEN, NOT_A_NUMBER, REFUSED = toy_generator.BEHAVIOURS
SLOW_ELSEWHERE = toy_generator.SLOW_ELSEWHERE
STUDY = "toy"


def kernel(folder: Path) -> Kernel:
    program = folder / "toy_generator"
    if not program.exists():
        source = Path(toy_generator.__file__)
        program.write_text(f"#!/bin/sh\nexec {sys.executable} {source} \"$@\"\n")
        program.chmod(0o755)
    runtime = BUILD / "runtime" / "libupwell.halide_runtime.a"
    return Kernel("toy", program, "toy", ("type=float32",), ("x86-64-linux",), (), runtime)


def problem(size: int) -> Problem:
    x = np.linspace(-1, 1, size, dtype=np.float32)
    dims = ((0, size, 1),)
    return Problem("toy", {"x": Map(dims, x.dtype, x), "y": Map(dims, x.dtype, None)}, ("y",))


class Toy:
    """The tuner's parts on the toy kernel, with their files in a folder."""

    def __init__(self, folder: Path, cache: Path):
        self.kernel = kernel(folder)
        self.compiler = Compiler(cache, time_limit=60)
        self.folder = folder
        self.subject = self.subject_of(100)
        self.notes = folder / "timings.jsonl"
        self.space = Space(self.compiler.space(candidate(self.kernel, "x86-64-linux", {})))

    def subject_of(self, size: int) -> Subject:
        """A call of this size."""
        call, reference = self.folder / f"call-{size}.npz", self.folder / f"reference-{size}.npz"
        problem(size).save(call)
        runtime = self.compiler.runtime(self.kernel)
        subject = Subject(call, reference, runtime, threads=1, tolerance=1e-4, first_limit=3, round_limit=3)
        if not reference.exists():
            write_reference(subject, self.compile(type="float64"))
        return subject

    def compile(self, **parameters: object):
        return self.compiler.compile(candidate(self.kernel, "x86-64-linux", parameters))

    def bench(self, **neighbours) -> Bench:
        return Bench(self.kernel, "x86-64-linux", self.compiler, self.subject, {}, self.notes, neighbours)

    def study(self, seed: int = 1) -> optuna.Study:
        return create_study(open_storage(None, self.folder / "study.journal"), STUDY, seed)

    def search(
        self, evaluator=None, study: optuna.Study | None = None, seed: int = 1, space: Space | None = None
    ) -> Search:
        return Search(study or self.study(seed), space or self.space, evaluator or self.bench(), workers=2, seed=seed)


def space_of(behaviours: list[int]) -> Space:
    """The toy's space with these behaviours alone."""
    knobs = [
        {"name": name, "meaning": "", "values": values, "hand": toy_generator.HAND[name]}
        for name, values in (
            ("rows", toy_generator.ROWS), ("columns", toy_generator.COLUMNS), ("behaviour", behaviours)
        )
    ]
    legal = [[r, c, b] for r in range(4) for c in range(4) for b in range(len(behaviours))]
    return Space({"knobs": knobs, "rules": [], "legal": legal})


def main() -> None:
    """A tuner process: toy.py FOLDER CACHE TRIALS."""
    folder, cache, trials = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    toy = Toy(folder, cache)
    toy.search(space=space_of([RIGHT])).run(trials, budget=120)


if __name__ == "__main__":
    main()
