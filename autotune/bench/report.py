"""What is left of a run: JSON for programs, a Markdown table and a picture for people.

A processor's stands beside what the machine could do at most ("limits"), a GPU's beside a copy within the device.
"""

import json
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402
from matplotlib.ticker import LogLocator, NullLocator  # noqa: E402

from autotune.bench.candidates import COMPILED, EAGER, EXACT, PUBLISHED, UPWELL  # noqa: E402
from autotune.bench.machine import said  # noqa: E402
from autotune.bench.workloads import FORWARD, TRAINING  # noqa: E402

_COLOURS = {EAGER: "#d1495b", COMPILED: "#edae49", EXACT: "#66a182", PUBLISHED: "#8d96a3", UPWELL: "#00798c"}
_MIB = 1 << 20
_SHADES = ((-0.2, FORWARD, 1.0), (0.2, TRAINING, 0.55))
_SHADES_SAID = "(dark: forward, light: forward+backward)"


def write(report: dict, folder: Path) -> list[Path]:
    """Writes bench.json, bench.md and bench.png into the folder, and returns them."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "bench.json"
    file.write_text(json.dumps(report, indent=1) + "\n")
    return [file, *draw(file)]


def draw(file: Path) -> list[Path]:
    """Writes FILE.md and FILE.png beside FILE.json, and returns them."""
    report = json.loads(file.read_text())
    files = [file.with_suffix(suffix) for suffix in (".md", ".png")]
    files[0].write_text(markdown(report))
    _picture(report, files[1])
    return files


def markdown(report: dict) -> str:
    """The machine, then one table for each mode."""
    table, legend = (_gpu_table, _GPU_LEGEND) if _of_gpu(report) else (_table, _LEGEND)
    tables = [f"### {mode}\n\n{table(report['rows'], mode)}" for mode in (FORWARD, TRAINING)]
    return "\n\n".join([_headline(report), *tables, legend, *skipped_lines(report["rows"])]) + "\n"


_LEGEND = """\
Milliseconds per call: median (quartiles). In brackets: how many times Upwell's median. Limit: the least time
for the bytes in and out and the multiply-adds of Upwell's algorithm, at the machine's measured rates; share:
limit / Upwell.
Memory: MiB that one call adds at most, results included. Saved: MiB that autograd keeps for backward, inputs
included."""

_GPU_LEGEND = """\
Milliseconds per call between CUDA events: median (quartiles). In brackets: how many times Upwell's median. GB/s:
Upwell's, with every input and output counted once. Memory: MiB that one call adds at most: Upwell / eager."""


def _of_gpu(report: dict) -> bool:
    return "limits" not in report


def _others(report: dict) -> tuple[str, ...]:
    """The candidates beside Upwell."""
    return (EAGER, COMPILED, EXACT, PUBLISHED) if _of_gpu(report) else (EAGER, COMPILED, EXACT)


def _headline(report: dict) -> str:
    machine = report["machine"]
    if _of_gpu(report):
        tiny = " A dry run on tiny maps." if report["quick"] else ""
        return (
            f"{machine['device']}, driver {machine.get('driver')}, torch {machine['torch']}, "
            f"commit {machine['commit']}, {machine['date']}; copy within the device, measured in this run: "
            f"{report['copy_bytes_per_s'] / 1e9:.0f} GB/s.{tiny}"
        )
    limits = report["limits"]
    return (
        f"{said(machine)} (cores: {machine['cores']}), {report['dtype']}; torch {machine['torch']}; "
        f"commit {machine['commit']}; {machine['date']}; "
        f"load before the run: {machine['load_average_1min']:.1f}.\n"
        f"Limits measured in this run: copy {limits['memory_bandwidth'] / 1e9:.1f} GB/s in memory, "
        f"{limits['cache_bandwidth'] / 1e9:.1f} GB/s in the cache of {limits['cache_bytes'] // _MIB} MiB; "
        f"{limits['multiply_adds'] / 1e9:.0f} G multiply-adds/s."
    )


def skipped_lines(rows: list[dict]) -> list[str]:
    """Why a candidate has no time."""
    return [
        f"Skipped: {name}, {row['name']} {mode}: {result['skipped']}"
        for row in rows
        for mode, results in row["modes"].items()
        for name, result in results["candidates"].items()
        if "skipped" in result
    ]


def _table(rows: list[dict], mode: str) -> str:
    training = mode == TRAINING
    order = ", ".join(_short(name) for name in (UPWELL, EAGER, COMPILED))
    heads = ["name", "shape", UPWELL, EAGER, COMPILED, EXACT, "limit", "share", f"memory: {order}"]
    heads += ["saved: the same"] if training else []
    lines = [_line(heads), _line(["---"] * 2 + ["---:"] * (len(heads) - 2))]
    for row in rows:
        result = row["modes"][mode]
        timed = result["candidates"]
        times = [_time(timed.get(name), name, 2) for name in (UPWELL, EAGER, COMPILED, EXACT)]
        cells = [row["name"], row["shape"], *times]
        cells += [f"{result['limit_ms']:.2f} ({result['limited_by']})", f"{result['share']:.0%}"]
        cells.append(_three(timed, "peak_bytes"))
        if training:
            cells.append(_three(timed, "saved_bytes"))
        lines.append(_line(cells))
    return "\n".join(lines)


def _gpu_table(rows: list[dict], mode: str) -> str:
    names = (UPWELL, EAGER, COMPILED, EXACT, PUBLISHED)
    lines = [_line(["name", "shape", *names, "GB/s", "memory"]), _line(["---"] * 2 + ["---:"] * 7)]
    for row in rows:
        if mode not in row["modes"]:  # the run was ended before
            continue
        notes = row["modes"][mode]["candidates"]
        times = [_time(notes.get(name), name, 3) for name in names]
        speed = notes[UPWELL].get("bytes_per_s")
        memory = " / ".join(_mebibytes(notes.get(name, {}).get("peak_bytes"), 0) for name in (UPWELL, EAGER))
        lines.append(_line([row["name"], row["shape"], *times, f"{speed / 1e9:.0f}" if speed else "", memory]))
    return "\n".join(lines)


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _short(name: str) -> str:
    return name.removeprefix("torch ").removeprefix("torch.")


def _time(result: dict | None, name: str, digits: int) -> str:
    if result is None:
        return ""
    if "skipped" in result:
        return "skipped"
    ratio = f" [{result['ratio']:.1f}x]" if name != UPWELL and "ratio" in result else ""
    median, low, high = (f"{result[key]:.{digits}f}" for key in ("median_ms", "low_ms", "high_ms"))
    return f"{median} ({low}-{high}){ratio}"


def _three(timed: dict, key: str) -> str:
    return ", ".join(_mebibytes(timed.get(name, {}).get(key), 1) for name in (UPWELL, EAGER, COMPILED))


def _mebibytes(value: int | None, digits: int) -> str:
    return "-" if value is None else f"{value / _MIB:.{digits}f}"


def _picture(report: dict, file: Path) -> None:
    rows = [row for row in report["rows"] if set(row["modes"]) == {FORWARD, TRAINING}]
    size = (16, 1.8 + 0.62 * len(rows))
    figure, axes = plt.subplots(1, 3, figsize=size, sharey=True, width_ratios=[3, 3, 1.6])
    others = _others(report)
    for axis, mode in zip(axes, (FORWARD, TRAINING)):
        _draw_ratios(axis, rows, mode, others)
    if _of_gpu(report):
        _draw_speed(axes[2], rows, report["copy_bytes_per_s"])
    else:
        _draw_shares(axes[2], rows)
    for axis in axes:
        axis.tick_params(labeltop=True)  # the bottom is far from the first rows
        axis.grid(axis="x", color="#e4e4e4")
        axis.set_axisbelow(True)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_yticks(range(len(rows)), [f"{row['name']}\n{row['shape']}" for row in rows])
    axes[0].set_ylim(len(rows) - 0.4, -0.6)  # first row on top
    handles = [plt.Rectangle((0, 0), 1, 1, color=_COLOURS[name]) for name in others]
    figure.legend(handles, others, loc="lower center", ncols=len(others), frameon=False)
    machine = report["machine"]
    where = machine["device"]
    if not _of_gpu(report):
        where += f", threads: {machine['threads']}, {report['dtype']}"
    figure.suptitle(f"Upwell beside torch on {where}", y=1 - 0.15 / size[1], va="top")
    figure.tight_layout(rect=(0, 0.5 / size[1], 1, 1))
    figure.savefig(file, dpi=110)
    plt.close(figure)


def _draw_ratios(axis: plt.Axes, rows: list[dict], mode: str, others: tuple[str, ...]) -> None:
    """A group of bars per row, from Upwell's own time: to the right slower, to the left faster."""
    ratios = [1.0]
    for y, row in enumerate(rows):
        timed = row["modes"][mode]["candidates"]
        present = [name for name in others if name in timed]
        for i, name in enumerate(present):
            height, ratio = 0.8 / len(present), timed[name].get("ratio", 1)
            at = y - 0.4 + height * (i + 0.5)
            ratios.append(ratio)
            axis.barh(at, ratio - 1, 0.9 * height, left=1, color=_COLOURS[name])
            axis.text(max(1, ratio), at, _label(timed[name], name), va="center", fontsize=9)
    axis.axvline(1, color=_COLOURS[UPWELL], linewidth=2)
    axis.set_xscale("log")
    axis.set_xlim(0.8 * min(ratios), 4 * max(ratios))  # room for the labels
    axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.xaxis.set_major_formatter("{x:g}")
    axis.xaxis.set_minor_locator(NullLocator())
    axis.set_title(f"{mode}: time / Upwell's time (log scale)")


def _label(result: dict, name: str) -> str:
    if "skipped" in result:
        return f"  {name}: skipped"
    ratio = f"{result['ratio']:.1f}x  " if "ratio" in result else ""
    return f"  {ratio}({_milliseconds(result)})"


def _milliseconds(result: dict) -> str:
    median = result["median_ms"]
    return f"{median:.0f} ms" if median >= 100 else f"{median:.3g} ms"


def _draw_shares(axis: plt.Axes, rows: list[dict]) -> None:
    """Upwell's percent of the machine's limit."""
    shares = [[100 * row["modes"][mode]["share"] for _, mode, _ in _SHADES] for row in rows]
    _draw_own(axis, rows, shares, "%")
    axis.set_xlim(0, 1.6 * axis.get_xlim()[1])
    axis.set_title(f"Upwell: % of the machine's limit\n{_SHADES_SAID}", fontsize=10)


def _draw_speed(axis: plt.Axes, rows: list[dict], copy: float) -> None:
    """Upwell's bytes per second; the line is a copy's."""
    own = [[row["modes"][mode]["candidates"][UPWELL] for _, mode, _ in _SHADES] for row in rows]
    speeds = [[note.get("bytes_per_s", 0) / 1e9 for note in pair] for pair in own]
    _draw_own(axis, rows, speeds, "")
    axis.axvline(copy / 1e9, color="#8d96a3", linewidth=1)
    axis.set_xlim(0, 1.5 * max(copy / 1e9, axis.get_xlim()[1]))
    axis.set_title(f"Upwell: GB/s (line: a copy)\n{_SHADES_SAID}", fontsize=10)


def _draw_own(axis: plt.Axes, rows: list[dict], values: list[list[float]], unit: str) -> None:
    """A bar for each mode of a row, forward above, with Upwell's time."""
    for y, (row, pair) in enumerate(zip(rows, values)):
        for (offset, mode, alpha), value in zip(_SHADES, pair):
            own = row["modes"][mode]["candidates"][UPWELL]
            if "median_ms" in own:
                axis.barh(y + offset, value, 0.36, color=_COLOURS[UPWELL], alpha=alpha)
                axis.text(value, y + offset, f" {value:.0f}{unit}  ({_milliseconds(own)})", va="center", fontsize=9)
