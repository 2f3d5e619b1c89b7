"""Upwell beside torch eager and torch.compile, in one run, on this processor or on a GPU.

    python -m autotune.bench                          all rows, beside the machine's limits; results in build/bench/
    python -m autotune.bench --quick                  only the rows of workloads/speed.csv, fewer rounds
    python -m autotune.bench --shapes 'fns_*'         only these names (shell patterns); --quick: in fewer rounds
    python -m autotune.bench --shapes 'narrow_*'      maps of 1 to 4 channels (workloads/narrow.csv), else left out

    python -m autotune.bench --device cuda            results in autotune/results/<device>-<date>.json
      --published ../ReSFU                            also FNS as the authors of ReSFU published it
      --dry-run                                       what is done there, on the CPU and tiny maps
    python -m autotune.bench --draw FILE.json         a table and a picture of a GPU's results; runs anywhere

On a GPU it needs Python, torch and the built package alone; --draw needs matplotlib.
"""

import argparse
import json
import re
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import torch
import upwell

from autotune.bench.candidates import UPWELL
from autotune.bench.devices import Gpu, Processor
from autotune.bench.harness import bench
from autotune.bench.machine import Limits, description, machine_library, measure_limits
from autotune.bench.memory import observer
from autotune.bench.rows import Row, gpu_rows, processor_rows
from autotune.bench.workloads import FORWARD
from autotune.origin import ROOT

_BUDGET, _QUICK_BUDGET = 6.0, 1.5  # seconds of timed calls per row and mode
_GPU_BUDGET, _TINY_BUDGET = 4.0, 0.05
_ON_GPU = {"published": None, "seconds": 460, "dry_run": False}  # what is said of a GPU alone, where it is not said
_ON_PROCESSOR = {"threads": torch.get_num_threads(), "dtype": "float32"}


def arguments() -> argparse.Namespace:
    """The command line."""
    as_written = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="python -m autotune.bench", description=__doc__, formatter_class=as_written)
    parser.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1, ...; default: %(default)s")
    parser.add_argument("--quick", action="store_true", help="workloads/speed.csv, fewer rounds; on a GPU tiny maps")
    parser.add_argument("--shapes", "--rows", nargs="+", metavar="NAME", help="names or shell patterns of rows")
    parser.add_argument("--out", type=Path, help="folder of the results")
    parser.add_argument("--draw", type=Path, metavar="FILE", help="only draw these results")
    parser.add_argument("--threads", type=int, help=f"of a CPU; default: {_ON_PROCESSOR['threads']}")
    parser.add_argument("--dtype", choices=("float32", "float64"), help="on a CPU; default: float32")
    parser.add_argument("--published", type=Path, metavar="PATH", help="on a GPU: the authors' checkout")
    parser.add_argument("--seconds", type=float, help=f"of a GPU's run, about; default: {_ON_GPU['seconds']}")
    parser.add_argument("--dry-run", action="store_true", help="a GPU's run, on the CPU and tiny maps")
    chosen = parser.parse_args()
    cpu = torch.device(chosen.device).type == "cpu"
    for name in _ON_GPU if cpu else _ON_PROCESSOR:
        if getattr(chosen, name) not in (None, False):
            option, kind = name.replace("_", "-"), "GPU" if cpu else "CPU"
            parser.error(f"--{option} is for a {kind} but --device is {chosen.device}")
    for name, default in (_ON_GPU | _ON_PROCESSOR).items():
        if getattr(chosen, name) is None:
            setattr(chosen, name, default)
    if chosen.threads < 1:
        parser.error(f"--threads should be at least 1 but is {chosen.threads}")
    return chosen


def on_processor(chosen: argparse.Namespace) -> None:
    """Runs everything and leaves JSON, Markdown and a picture."""
    from tqdm import tqdm  # what a GPU machine need not have

    from autotune.bench import report

    torch.set_num_threads(chosen.threads)
    dtype = getattr(torch, chosen.dtype)
    rows = processor_rows(chosen.quick, chosen.shapes, chosen.dtype)
    library = machine_library(Path(upwell.__file__).parent)
    machine = description(threads=chosen.threads)

    limits = measure_limits(library, chosen.threads, dtype)
    with observer(chosen.threads) as memory, tqdm(total=2 * len(rows)) as progress:
        device = Processor(dtype, _QUICK_BUDGET if chosen.quick else _BUDGET, memory, progress.set_description)
        found = []
        for entry, mode in bench(device, rows):
            found += [entry] if mode == FORWARD else []
            progress.update()
    limits = limits.best(measure_limits(library, chosen.threads, dtype))
    for entry, row in zip(found, rows):
        add_limits(entry, row, limits, dtype)

    result = {"machine": machine, "dtype": chosen.dtype, "limits": asdict(limits), "rows": found}
    files = report.write(result, chosen.out or ROOT / "build" / "bench")
    print(report.markdown(result), *files, sep="\n")


def add_limits(entry: dict, row: Row, limits: Limits, dtype: torch.dtype) -> None:
    """Adds the least time that the machine needs, and Upwell's share of it."""
    for mode, result in entry["modes"].items():
        passes = row.workload.passes(mode, dtype)
        seconds, limited_by = limits.seconds(passes)
        result["passes"] = [asdict(work) for work in passes]
        result |= {"limit_ms": 1e3 * seconds, "limited_by": limited_by}
        result["share"] = result["limit_ms"] / result["candidates"][UPWELL]["median_ms"]


def on_gpu(chosen: argparse.Namespace) -> None:
    """Prints and writes every finished row; the exit code says whether Upwell ran and agreed in every row."""
    name, tiny = "cpu" if chosen.dry_run else chosen.device, chosen.quick or chosen.dry_run
    rows = gpu_rows(tiny, chosen.shapes)
    machine = description(name)
    published, note = _published(chosen.published) if chosen.published else (None, None)
    device = Gpu(name, _TINY_BUDGET if tiny else _GPU_BUDGET, chosen.seconds, published)
    folder = chosen.out or ROOT / "autotune" / "results"
    folder.mkdir(parents=True, exist_ok=True)
    file = result_file(folder, machine)
    copy = device.copy_bandwidth()
    found: list[dict] = []
    head = {"machine": machine, "quick": tiny, "published": note, "copy_bytes_per_s": copy}
    print(f"{machine['device']}, torch {machine['torch']}: copy {copy / 1e9:.0f} GB/s", flush=True)
    for entry, mode in bench(device, rows):
        found += [entry] if mode == FORWARD else []
        print(_line(entry["name"], mode, entry["modes"][mode]), flush=True)
        file.write_text(json.dumps({**head, "rows": found}, indent=1) + "\n")
    print(file)
    wrong = [row["name"] for row in found for m in row["modes"].values() if "skipped" in m["candidates"][UPWELL]]
    if wrong:
        raise SystemExit(f"bench: Upwell did not run, or did not agree, on {', '.join(dict.fromkeys(wrong))}")


def _published(checkout: Path) -> tuple[Callable | None, str | None]:
    """The authors' extension, or why it was not built."""
    try:
        from autotune.bench.published import published_fns

        return published_fns(checkout.resolve(), ROOT / "build" / "published"), None
    except Exception as error:
        note = f"{type(error).__name__}: {str(error)[-1000:]}"
        print(f"the published extension was not built: {note}")
        return None, note


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


def main() -> None:
    """Runs everything, or draws."""
    chosen = arguments()
    if chosen.draw:
        from autotune.bench import report  # it needs matplotlib

        print(*report.draw(chosen.draw), sep="\n")
    elif torch.device(chosen.device).type == "cpu":
        on_processor(chosen)
    else:
        on_gpu(chosen)


if __name__ == "__main__":
    main()
