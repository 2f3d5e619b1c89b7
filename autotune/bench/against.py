"""This build beside another one: every row in processes that take turns, each with a library of its own.

    python -m autotune.bench.against ../before/build/cpu                      all rows of the benchmark
    python -m autotune.bench.against ../before/build/cpu --shapes 'resfu*'    only these names (shell patterns)
    python -m autotune.bench.against ../before/build/cpu --autocast           this build's under bfloat16 autocast

BUILD is a build folder of another checkout (its python/ has the package). A row is as fast where the medians are within 3 %
of each other; otherwise faster or slower, if three quarters of the rounds say so. Both processes keep their memory, so fresh
pages do not count; a build beside itself came out between 0.96 and 0.99. Prints Markdown; ends with 1 where a row is slower.
"""

import argparse
import contextlib
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import torch
from tqdm import tqdm

import upwell
from autotune.bench.candidates import UPWELL, make_trials
from autotune.bench.machine import description, said
from autotune.bench.measure import seconds_per_call
from autotune.bench.rows import processor_rows
from autotune.bench.workloads import FORWARD, TRAINING
from autotune.origin import ROOT

_THIS, _OTHER = "this build", "the other"
_AS_FAST = 0.03  # of the other's median
_PROCESSES = 3  # of each build, one after the other: where their pages lie alone makes one a tenth faster than the next
_QUIET = 0.02  # seconds in which idle threads of the process before fall asleep


class Side:
    """One build in a process of its own, which answers with seconds per call."""

    def __init__(self, package: Path, chosen: argparse.Namespace, autocast: bool):
        options = ["--threads", str(chosen.threads), "--dtype", chosen.dtype, *(["--autocast"] if autocast else [])]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "autotune.bench.against", "--side", *options],
            env=os.environ | {"PYTHONPATH": os.pathsep.join([str(package), str(ROOT)])}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        loaded = Path(self.ask(None)).parent.parent
        if loaded != package.resolve():
            raise SystemExit(f"against: the package should be that of {package} but is that of {loaded}")

    def ask(self, question: object) -> object:
        """The answer of serve(); SystemExit where the process has ended."""
        try:
            self.process.stdin.write(json.dumps(question) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass
        answer = self.process.stdout.readline()
        if not answer:
            raise SystemExit(f"against: the process of a build ended with {self.process.wait()}")
        return json.loads(answer)

    def seconds(self, rounds: int) -> float:
        """Per call of the row asked for last, mean of so many calls."""
        time.sleep(_QUIET)
        return self.ask(rounds)

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait()


def keep_memory() -> None:
    """Of this checkout's package, which the other build need not have: else a row's time hangs on which blocks malloc gave
    back in the rows before it."""
    file = ROOT / "torch_bridge" / "python" / "upwell" / "memory.py"
    spec = importlib.util.spec_from_file_location("memory_of_this_checkout", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.keep_memory()


def serve(chosen: argparse.Namespace) -> None:
    """Answers on stdout: where the package is; seconds of the first calls of a row and mode; seconds per call of so many."""
    torch.set_num_threads(chosen.threads)
    keep_memory()
    trial = None
    for line in sys.stdin:
        question = json.loads(line)
        if question is None:
            answer = str(Path(upwell.__file__).resolve())
        else:
            if isinstance(question, list):
                name, mode = question
                trial = make_trials(processor_rows(False, [name])[0].workload, mode, getattr(torch, chosen.dtype))[UPWELL]
                seconds_per_call(trial, 2)
                question = 1
            with torch.autocast("cpu", torch.bfloat16) if chosen.autocast else contextlib.nullcontext():
                answer = seconds_per_call(trial, question)
        print(json.dumps(answer), flush=True)


def compare(name: str, mode: str, sides: dict[str, Side], budget: float) -> dict[str, list[float]]:
    """Seconds per call of both sides, round by round."""
    once = {who: side.ask([name, mode]) for who, side in sides.items()}
    repeats = {who: max(1, round(0.03 / seconds)) for who, seconds in once.items()}
    a_round = sum(once[who] * repeats[who] + _QUIET for who in sides)
    rounds = min(max(int(budget / a_round), 6), 60)
    samples = {who: [] for who in sides}
    for i in range(rounds):
        for who in list(sides)[:: -1 if i % 2 else 1]:  # whoever comes first is a little slower
            samples[who].append(sides[who].seconds(repeats[who]))
    return samples


def verdict(samples: dict[str, list[float]]) -> tuple[str, float]:
    """faster, as fast or slower, and how many times as fast this build is."""
    speedups = [other / this for this, other in zip(samples[_THIS], samples[_OTHER])]
    median = statistics.median(samples[_OTHER]) / statistics.median(samples[_THIS])
    low, _, high = statistics.quantiles(speedups, n=4, method="inclusive")
    if median < 1 - _AS_FAST and high < 1:
        return "slower", median
    return ("faster" if median > 1 + _AS_FAST and low > 1 else "as fast"), median


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", type=Path, nargs="?", metavar="BUILD", help="build folder of the other checkout")
    parser.add_argument("--shapes", nargs="+", metavar="NAME", help="names or shell patterns of workloads")
    parser.add_argument("--modes", nargs="+", choices=(FORWARD, TRAINING), default=[FORWARD, TRAINING])
    parser.add_argument("--budget", type=float, default=6, help="seconds of each row and mode (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="default: %(default)s")
    parser.add_argument("--dtype", choices=("float32", "float64"), default="float32")
    parser.add_argument("--autocast", action="store_true", help="this build under bfloat16 autocast, the other as it is")
    parser.add_argument("--side", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if not chosen.side and (chosen.build is None or not (chosen.build / "python" / "upwell").is_dir()):
        parser.error(f"BUILD should be a build folder with python/upwell but is {chosen.build}")
    return chosen


def main() -> None:
    chosen = arguments()
    if chosen.side:
        return serve(chosen)
    found = processor_rows(False, chosen.shapes)
    rows = [(row.name, row.workload.shape, mode) for row in found for mode in chosen.modes]
    packages = {_THIS: Path(upwell.__file__).resolve().parent.parent, _OTHER: chosen.build.resolve() / "python"}
    machine = description(threads=chosen.threads)
    samples = {(name, mode): {who: [] for who in packages} for name, _, mode in rows}
    with tqdm(total=_PROCESSES * len(rows)) as progress:
        for _ in range(_PROCESSES):
            sides = {who: Side(package, chosen, chosen.autocast and who == _THIS) for who, package in packages.items()}
            for name, _, mode in rows:
                progress.set_description(f"{name} {mode}")
                for who, seconds in compare(name, mode, sides, chosen.budget / _PROCESSES).items():
                    samples[name, mode][who] += seconds
                progress.update()
            for side in sides.values():
                side.close()
    print(f"{said(machine)}, {chosen.dtype}"
          f"{', this build under autocast' if chosen.autocast else ''}; commit {machine['commit']}; {machine['date']}\n")  # fmt: skip
    print("| name | shape | mode | this build, ms | the other, ms | other / this | |\n|---|---|---|---:|---:|---:|---|")
    slower = 0
    for name, shape, mode in rows:
        word, ratio = verdict(samples[name, mode])
        slower += word == "slower"
        this, other = (1e3 * statistics.median(samples[name, mode][who]) for who in packages)
        print(f"| {name} | {shape} | {mode} | {this:.3f} | {other:.3f} | {ratio:.2f} | {word} |")
    sys.exit(slower > 0)


if __name__ == "__main__":
    main()
