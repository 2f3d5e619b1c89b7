"""Tests of Upwell on a GPU, with nothing but Python, torch and the built package.

    python tests/gpu/run.py --package build/cpu/python      everything
    python tests/gpu/run.py --only graph_test '*resfu*'     only tests with a name like these (shell patterns)
    python tests/gpu/run.py --sanitize                      every kernel once under compute-sanitizer
    python tests/gpu/run.py --device cpu                    what makes sense without a GPU

Tests run in processes of their own, one per file; where one is lost (a crash, a test that hangs, an error that the
device does not recover from), the tests behind it go on in another.
"""

import argparse
import fnmatch
import json
import os
import subprocess
import sys
import time
from pathlib import Path

_HERE = Path(__file__).resolve().parent
_ROOT = _HERE.parent.parent
_MARK = "\x02"  # begins the lines that a worker means for its parent
_SANITIZER_TOOLS = ("memcheck", "racecheck")
_FAILED = ("failed", "lost")
_DEVICE_LOST = 70  # exit code of a worker that cannot go on, though its last test came to an end


def arguments() -> argparse.Namespace:
    """The command line."""
    as_written = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=as_written)
    parser.add_argument("--package", type=Path, metavar="FOLDER", help="the built package upwell, or what contains it")
    parser.add_argument("--device", default="cuda", help="default: %(default)s")
    parser.add_argument("--only", nargs="+", default=["*"], metavar="NAME", help="names or shell patterns")
    parser.add_argument("--sanitize", action="store_true", help="run sanitize_test under compute-sanitizer")
    parser.add_argument("--json", type=Path, metavar="FILE", help="leave the results there")
    parser.add_argument("--limit", type=float, default=120, metavar="S", help="seconds per test; default: %(default)g")
    parser.add_argument("--list", action="store_true", help="only print the names")
    return parser.parse_args()


def environment(chosen: argparse.Namespace) -> dict[str, str]:
    """Of the workers: where the package is, references, problems and golden data of the other tests and what describes the
    machine; and what deterministic matrix products need."""
    places = [str(_HERE)]
    if chosen.package:
        package = chosen.package.resolve()
        places.append(str(package.parent if package.name == "upwell" else package))
    places += [place for place in [os.environ.get("PYTHONPATH")] if place]
    places += [str(_ROOT), str(_ROOT / "tests" / "torch_bridge")]
    settings = {"UPWELL_TEST_DEVICE": chosen.device, "PYTHONPATH": os.pathsep.join(places), "PYTHONUNBUFFERED": "1"}
    return {"CUBLAS_WORKSPACE_CONFIG": ":4096:8", **os.environ, **settings}


def worker(files: list[str], *options: str) -> list[str]:
    """The command that runs these files."""
    return [sys.executable, str(_HERE / "worker.py"), *options, *files]


def ask(command: list[str], env: dict[str, str]) -> list[dict]:
    """What a worker answers; SystemExit with its words where it fails."""
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"run: {done.stderr.strip()[-2000:]}")
    return [json.loads(line[1:]) for line in done.stdout.splitlines() if line.startswith(_MARK)]


def chosen_tests(chosen: argparse.Namespace, env: dict[str, str]) -> list[str]:
    """The names asked for, in order; SystemExit if there are none."""
    files = ["sanitize_test"] if chosen.sanitize else sorted(path.stem for path in _HERE.glob("*_test.py"))
    names = [answer["name"] for answer in ask(worker(files, "--list"), env)]
    found = [name for name in names if any(_matches(name, pattern) for pattern in chosen.only)]
    if not found:
        raise SystemExit(f"run: no test has a name like {' or '.join(chosen.only)}")
    return found


def _matches(name: str, pattern: str) -> bool:
    return name.split("::")[0] == pattern or fnmatch.fnmatchcase(name.replace("[", "("), pattern.replace("[", "("))


def run_tests(names: list[str], env: dict[str, str], limit: float, prefix: list[str], report: "Report") -> None:
    """Runs the tests of each file in a worker, and in another what a lost worker left."""
    by_file: dict[str, list[str]] = {}
    for name in names:
        by_file.setdefault(name.split("::")[0], []).append(name)
    for file, left in by_file.items():
        while left:
            left = _run_worker(file, left, env, limit, prefix, report)


def _run_worker(
    file: str, left: list[str], env: dict[str, str], limit: float, prefix: list[str], report: "Report"
) -> list[str]:
    """Runs these tests until the worker ends; returns those that it did not come to."""
    command = [*prefix, *worker([file], "--limit", str(limit), "--stdin")]
    process = subprocess.Popen(command, env=env, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, errors="replace")  # fmt: skip
    process.stdin.write("\n".join(left))
    process.stdin.close()
    running, said = None, []
    for line in process.stdout:
        if not line.startswith(_MARK):
            said.append(line)
            continue
        result = json.loads(line[1:])
        if result["status"] == "compiled":
            report.add_compiled(result)
            continue
        if result["status"] == "running":
            running, said = result["name"], []
            continue
        left = left[left.index(result["name"]) + 1 :]
        running = None
        report.add(result | {"output": "".join(said).rstrip()})
    code = process.wait()
    if running is None and not left:
        if code != 0 and prefix:  # the sanitizer counts its findings in the exit code
            report.add(_result(f"{file}::exit code {code}", "failed", said))
        return []
    if running is None and code == _DEVICE_LOST:
        return left
    lost = running or left[0]
    report.add(_result(lost, "lost", [f"the process ended with exit code {code}\n", *said]))
    return left[left.index(lost) + 1 :]


def _result(name: str, status: str, said: list[str]) -> dict:
    """Of what has no time of its own."""
    return {"name": name, "status": status, "seconds": 0, "message": "".join(said)[-4000:]}


class Report:
    """Prints a line per test and keeps the results, also in a file after each one."""

    def __init__(self, machine: dict, total: int, file: Path | None):
        self.machine, self.total, self.file = machine, total, file
        self.start, self.results = time.monotonic(), []
        self.compiled = {"kernels": 0, "seconds": 0.0}

    def add(self, result: dict) -> None:
        """Prints and keeps one result."""
        self.results.append(result)
        text = "\n".join(part for part in (result.get("message"), result.get("output")) if part)
        status, name = result["status"], result["name"]
        reason = f" ({result['message']})" if status == "skipped" else ""
        print(f"{len(self.results):4}/{self.total} {status:7} {result['seconds']:6.2f} s  {name}{reason}", flush=True)
        if text and status != "skipped":
            print(text, flush=True)
        self.write()

    def add_compiled(self, cost: dict) -> None:
        """Adds what compiling kernels cost a worker."""
        for key in self.compiled:
            self.compiled[key] += cost[key]

    def counts(self) -> dict[str, int]:
        """status -> how many."""
        found: dict[str, int] = {}
        for result in self.results:
            found[result["status"]] = found.get(result["status"], 0) + 1
        return found

    def write(self) -> None:
        """Replaces the file by one with the results so far."""
        if self.file is None:
            return
        seconds = round(time.monotonic() - self.start, 1)
        content = {"machine": self.machine, "seconds": seconds, "counts": self.counts()}
        content |= {"compiled": self.compiled, "tests": self.results}
        beside = self.file.with_name(self.file.name + ".part")
        beside.parent.mkdir(parents=True, exist_ok=True)
        beside.write_text(json.dumps(content, indent=1) + "\n")
        beside.replace(self.file)

    def failed(self) -> bool:
        """Whether any test did, or none passed."""
        counts = self.counts()
        return any(counts.get(status) for status in _FAILED) or not counts.get("passed")

    def closing_line(self) -> str:
        """What came out."""
        counts = ", ".join(f"{count} {status}" for status, count in sorted(self.counts().items()))
        failures = [result["name"] for result in self.results if result["status"] in _FAILED]
        listed = "".join(f"\n  {name}" for name in failures)
        where = f"{self.machine['device']}, torch {self.machine['torch']}"
        compiled = f"{self.compiled['kernels']} kernels compiled in {self.compiled['seconds']:.0f} s"
        return f"{where}: {counts} in {time.monotonic() - self.start:.0f} s; {compiled}{listed}"


def sanitizer() -> Path | None:
    """compute-sanitizer, if it is found."""
    homes = [Path(home) / "bin" for home in [os.environ.get("CUDA_HOME"), "/usr/local/cuda"] if home]
    folders = [*map(Path, os.environ.get("PATH", "").split(os.pathsep)), *homes]
    return next((f / "compute-sanitizer" for f in folders if os.access(f / "compute-sanitizer", os.X_OK)), None)


def sanitize(names: list[str], env: dict[str, str], limit: float, report: Report) -> None:
    """Runs the tests under each tool. Without torch's cache, a tensor's neighbour in memory is not its own."""
    program = sanitizer()
    if program is None:
        raise SystemExit("run: no compute-sanitizer in PATH, CUDA_HOME or /usr/local/cuda/bin: nothing was checked")
    env = {**env, "PYTORCH_NO_CUDA_MEMORY_CACHING": "1"}
    if refusal := _refusal(program, env):
        raise SystemExit(f"run: compute-sanitizer does not work on this machine, nothing was checked: {refusal}")
    report.total *= len(_SANITIZER_TOOLS)
    for tool in _SANITIZER_TOOLS:
        print(f"compute-sanitizer --tool {tool}", flush=True)
        prefix = [str(program), "--tool", tool, "--error-exitcode", "77"]
        run_tests(names, env, 10 * limit, prefix, report)


def _refusal(program: Path, env: dict[str, str]) -> str | None:
    """What the sanitizer says of a device that it does not take."""
    script = f"import torch; torch.ones(1, device={env['UPWELL_TEST_DEVICE']!r})"
    command = [str(program), "--tool", "memcheck", "--error-exitcode", "77", sys.executable, "-c", script]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    return None if done.returncode == 0 else (done.stdout + done.stderr).strip()[-1000:]


def main() -> None:
    """Runs what was asked for; the exit code is 0 if everything passed or was skipped with a reason."""
    chosen = arguments()
    env = environment(chosen)
    names = chosen_tests(chosen, env)
    if chosen.list:
        print(*names, sep="\n")
        return
    report = Report(ask(worker([], "--machine"), env)[0], len(names), chosen.json)
    print(json.dumps(report.machine), flush=True)
    if chosen.sanitize:
        sanitize(names, env, chosen.limit, report)
    else:
        run_tests(names, env, chosen.limit, [], report)
    report.write()
    print(report.closing_line())
    sys.exit(report.failed())


if __name__ == "__main__":
    main()
