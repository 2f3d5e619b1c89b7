"""Registers, shared memory and spills of every compiled CUDA kernel, without a GPU: autotune/results/ptx.json and docs/ptx.md.

    python -m autotune.bench.ptx                      read build/cpu/runtime, write autotune/results/ptx.json and docs/ptx.md
    python -m autotune.bench.ptx --check              compare with autotune/results/ptx.json; fail naming each regression
    python -m autotune.bench.ptx --files FILE...      print the table of these files (.a, .o, .so)

Kernels whose PTX and assembler are those of the report are not assembled again.
"""

import argparse
import bisect
import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tabulate import tabulate
from tqdm import tqdm

from autotune.bench.ptxas import ARCHITECTURES, Use, assemble, digest, entries, find_ptxas, modules, ptxas_version
from autotune.origin import ROOT

_REPORT = ROOT / "autotune" / "results" / "ptx.json"
_PAGE = ROOT / "docs" / "ptx.md"
_STEPS = (32, 40, 48, 64, 80, 96, 128, 168, 255)  # registers at which fewer warps fit a multiprocessor
_TOLERATED = 8  # registers that a kernel may gain within a step


def archives(build: Path) -> dict[str, Path]:
    """The compiled CUDA kernels of a build by name: runtime/libupwell_fns_k3_r4_float32_cuda.a is fns_k3_r4_float32."""
    found = sorted((build / "runtime").glob("*upwell_*_cuda.a"))
    return {_kernel_name(path): path for path in found}


def _kernel_name(path: Path) -> str:
    return path.name.split(".")[0].removeprefix("lib").removeprefix("upwell_").removesuffix("_cuda")


def measure(files: dict[str, Path], ptxas: Path, most_registers: int | None, known: dict, jobs: int) -> dict:
    """The report on these kernels; those of `known`, an earlier report, are taken from it where nothing changed."""
    tool = {"ptxas": ptxas_version(ptxas), "most_registers": most_registers}
    reusable = known.get("kernels", {}) if all(known.get(key) == value for key, value in tool.items()) else {}

    def one(item: tuple[str, Path]) -> tuple[str, dict]:
        name, path = item
        texts = modules(path)
        mark = digest(texts)
        if reusable.get(name, {}).get("digest") == mark:
            return name, reusable[name]
        return name, {"digest": mark, "entries": _assemble_all(ptxas, texts, most_registers)}

    with ThreadPoolExecutor(jobs) as pool:
        progress = tqdm(pool.map(one, files.items()), total=len(files), desc="ptxas", disable=None)
        kernels = {name: found for name, found in progress if found["entries"]}
    return {**tool, "kernels": kernels}


def _assemble_all(ptxas: Path, texts: list[str], most_registers: int | None) -> dict:
    """entry -> architecture -> use. An entry named like an earlier one of another module gets a number."""
    found: dict[str, dict] = {}
    for text in texts:
        uses = {arch: assemble(ptxas, text, arch, most_registers) for arch in ARCHITECTURES}
        for entry in entries(text):
            count = sum(name.split("#")[0] == entry for name in found)
            name = f"{entry}#{count + 1}" if count else entry
            found[name] = {arch: uses[arch][entry].as_dict() for arch in ARCHITECTURES}
    return found


def regressions(report: dict, committed: dict) -> list[str]:
    """What got worse, a line each: kernels or entries that came or went, registers, spills."""
    now, before = report["kernels"], committed["kernels"]
    lines = [f"{name}: missing, but in the report" for name in sorted(before.keys() - now.keys())]
    lines += [f"{name}: new, not in the report" for name in sorted(now.keys() - before.keys())]
    for name in sorted(now.keys() & before.keys()):
        lines += _entry_regressions(name, now[name]["entries"], before[name]["entries"])
    return lines


def _entry_regressions(kernel: str, now: dict, before: dict) -> list[str]:
    lines = [f"{kernel}: entry {entry} is missing" for entry in sorted(before.keys() - now.keys())]
    lines += [f"{kernel}: entry {entry} is new" for entry in sorted(now.keys() - before.keys())]
    for entry in sorted(now.keys() & before.keys()):
        for arch in ARCHITECTURES:
            new, old = Use(**now[entry][arch]), Use(**before[entry][arch])
            lines += [f"{kernel}: {entry}, {arch}: {what}" for what in _worse(kernel, new, old)]
    return lines


def _worse(kernel: str, new: Use, old: Use) -> list[str]:
    lines = []
    more = new.registers - old.registers
    if more > _TOLERATED or _step(new.registers) > _step(old.registers):
        lines.append(f"{new.registers} registers, were {old.registers}")
    if new.spills > old.spills and not kernel.endswith("float64"):
        lines.append(f"{new.spills} bytes spilled, were {old.spills}")
    return lines


def _step(registers: int) -> int:
    """The number of the occupancy step: 0 up to 32 registers, 1 up to 40, ..."""
    return bisect.bisect_left(_STEPS, registers)


def text(report: dict) -> str:
    """The report as JSON, sorted, a line per entry: what changed is what a diff shows."""
    kernels = []
    for name, found in sorted(report["kernels"].items()):
        lines = [f"   {json.dumps(entry)}: {json.dumps(uses)}" for entry, uses in sorted(found["entries"].items())]
        entries_text = ",\n".join(lines)
        kernels.append(f'  "{name}": {{"digest": "{found["digest"]}", "entries": {{\n{entries_text}}}}}')
    tool = {key: value for key, value in report.items() if key != "kernels"}
    head = json.dumps(tool, indent=1).removesuffix("\n}")
    return f'{head},\n "kernels": {{\n' + ",\n".join(kernels) + "\n }\n}\n"


def markdown(report: dict) -> str:
    """One row per kernel: of each architecture, the registers and spills of its worst entry."""
    heads = ["kernel", "launches"]
    heads += [f"{arch}: {what}" for arch in ARCHITECTURES for what in ("registers", "shared", "stack", "spills")]
    rows = [_row(name, found["entries"]) for name, found in sorted(report["kernels"].items())]
    spilling = sum(1 for row in rows if row[5] or row[9])
    most = report["most_registers"]
    limit = "as many registers as it chooses" if most is None else f"at most {most} registers per thread"
    return f"""\
# What the CUDA kernels take

`make ptx` wrote this with ptxas {report["ptxas"]}, {limit}; a test compares the build
with it. One row per compiled kernel: how many GPU kernels it launches, and of the one that spills most, or else has
the most registers: registers per thread, and bytes of declared shared memory (what Halide asks for at launch is not
among them), of stack, and of spills (stored + loaded). The driver that loads a kernel assembles it again, with a
version of its own.

{len(rows)} kernels, {sum(row[1] for row in rows)} launches; {spilling} kernels spill.

{tabulate(rows, heads, tablefmt="github")}
"""


def _row(name: str, found: dict) -> list:
    cells: list = [name, len(found)]
    for arch in ARCHITECTURES:
        worst = max((Use(**uses[arch]) for uses in found.values()), key=lambda use: (use.spills, use.registers))
        cells += [worst.registers, worst.shared, worst.stack, worst.spills]
    return cells


def check(report: dict, committed: dict) -> list[str]:
    """`regressions`, with a word on the assembler where it is another one than the report's."""
    lines = regressions(report, committed)
    if lines and report["ptxas"] != committed["ptxas"]:
        lines.append(f"(ptxas {report['ptxas']}; the report is by {committed['ptxas']}, which may explain it)")
    return lines


def arguments() -> argparse.Namespace:
    """The command line."""
    as_written = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=as_written)
    parser.add_argument("--build", type=Path, default=ROOT / "build" / "cpu", help="default: %(default)s")
    parser.add_argument("--files", type=Path, nargs="+", metavar="FILE", help="these files; writes nothing")
    parser.add_argument("--check", action="store_true", help="compare with the report instead of writing it")
    parser.add_argument("--report", type=Path, default=_REPORT, help="default: %(default)s")
    parser.add_argument("--page", type=Path, default=_PAGE, help="the report for people; default: %(default)s")
    parser.add_argument("--ptxas", type=Path, help="default: torch's, or the first found")
    parser.add_argument("--jobs", type=int, default=min(len(os.sched_getaffinity(0)), 8), help="default: %(default)s")
    parser.add_argument(
        "--most-registers",
        type=int,
        metavar="N",
        help="per thread, as the runtime asks the driver; default: the report's, or as ptxas chooses",
    )
    return parser.parse_args()


def main() -> None:
    """Reads, assembles, and writes or compares."""
    chosen = arguments()
    ptxas = chosen.ptxas or find_ptxas()
    if ptxas is None:
        raise SystemExit("ptx: no ptxas in torch's wheel, PATH, CUDA_HOME or /usr/local/cuda/bin")
    files = {_kernel_name(path): path for path in chosen.files} if chosen.files else archives(chosen.build)
    if not files:
        raise SystemExit(f"ptx: no CUDA kernels (runtime/*upwell_*_cuda.a) in {chosen.build}")
    committed = json.loads(chosen.report.read_text()) if chosen.report.exists() else {}
    most = chosen.most_registers or committed.get("most_registers")
    report = measure(files, ptxas, most, committed, chosen.jobs)
    if chosen.files:
        print(markdown(report))
    elif chosen.check:
        if not committed:
            raise SystemExit(f"ptx: {chosen.report} is missing; run make ptx")
        sys.exit("\n".join(check(report, committed)) or None)
    else:
        chosen.report.write_text(text(report))
        chosen.page.write_text(markdown(report))
        print(chosen.report, chosen.page, sep="\n")


if __name__ == "__main__":
    main()
