"""What is left of a run: JSON for programs, a Markdown table and a picture for people."""

import json
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402
from matplotlib.ticker import LogLocator, NullLocator  # noqa: E402

from candidates import COMPILED, EAGER, EXACT, UPWELL  # noqa: E402
from workloads import FORWARD, TRAINING  # noqa: E402

_OTHERS = (EAGER, COMPILED, EXACT)
_COLOURS = {EAGER: "#d1495b", COMPILED: "#edae49", EXACT: "#66a182", UPWELL: "#00798c"}
_MIB = 1 << 20


def write(report: dict, folder: Path) -> list[Path]:
    """Writes bench.json, bench.md and bench.png into the folder, and returns them."""
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f"bench.{kind}" for kind in ("json", "md", "png")]
    files[0].write_text(json.dumps(report, indent=1) + "\n")
    files[1].write_text(markdown(report))
    _picture(report, files[2])
    return files


def markdown(report: dict) -> str:
    """The machine, then one table for each mode."""
    tables = [f"### {mode}\n\n{_table(report['rows'], mode)}" for mode in (FORWARD, TRAINING)]
    return "\n\n".join([_headline(report), *tables, _LEGEND, *skipped_lines(report["rows"])]) + "\n"


_LEGEND = """\
Milliseconds per call: median (quartiles). In brackets: how many times Upwell's median. Limit: the least time
for the bytes in and out and the multiply-adds of Upwell's algorithm, at the machine's measured rates; share:
limit / Upwell.
Memory: MiB that one call adds at most, results included. Saved: MiB that autograd keeps for backward, inputs
included."""


def _headline(report: dict) -> str:
    machine, limits = report["machine"], report["limits"]
    return (
        f"{machine['cpu']}, {machine['cpu_capability']}, threads: {machine['threads']} "
        f"(cores: {machine['cores']}), {report['dtype']}; torch {machine['torch']}; "
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
    order = ", ".join(_short(name) for name in (UPWELL, *_OTHERS[:2]))
    heads = ["name", "shape", UPWELL, *_OTHERS, "limit", "share", f"memory: {order}"]
    heads += ["saved: the same"] if training else []
    lines = [table_line(heads), table_line(["---"] * 2 + ["---:"] * (len(heads) - 2))]
    for row in rows:
        result = row["modes"][mode]
        timed = result["candidates"]
        cells = [row["name"], row["shape"], *(_time(timed.get(name), name) for name in (UPWELL, *_OTHERS))]
        cells += [f"{result['limit_ms']:.2f} ({result['limited_by']})", f"{result['share']:.0%}"]
        cells.append(_three(timed, "peak_bytes"))
        if training:
            cells.append(_three(timed, "saved_bytes"))
        lines.append(table_line(cells))
    return "\n".join(lines)


def table_line(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _short(name: str) -> str:
    return name.removeprefix("torch ").removeprefix("torch.")


def _time(result: dict | None, name: str) -> str:
    if result is None:
        return ""
    if "skipped" in result:
        return "skipped"
    ratio = "" if name == UPWELL else f" [{result['ratio']:.1f}x]"
    return f"{result['median_ms']:.2f} ({result['low_ms']:.2f}-{result['high_ms']:.2f}){ratio}"


def _three(timed: dict, key: str) -> str:
    values = [timed.get(name, {}).get(key) for name in (UPWELL, *_OTHERS[:2])]
    return ", ".join("-" if value is None else f"{value / _MIB:.1f}" for value in values)


def _picture(report: dict, file: Path) -> None:
    rows = report["rows"]
    size = (16, 1.8 + 0.62 * len(rows))
    figure, axes = plt.subplots(1, 3, figsize=size, sharey=True, width_ratios=[3, 3, 1.6])
    for axis, mode in zip(axes, (FORWARD, TRAINING)):
        _draw_ratios(axis, rows, mode)
    _draw_shares(axes[2], rows)
    for axis in axes:
        axis.tick_params(labeltop=True)  # the bottom is far from the first rows
        axis.grid(axis="x", color="#e4e4e4")
        axis.set_axisbelow(True)
    axes[0].set_yticks(range(len(rows)), [f"{row['name']}\n{row['shape']}" for row in rows])
    axes[0].set_ylim(len(rows) - 0.4, -0.6)  # first row on top
    handles = [plt.Rectangle((0, 0), 1, 1, color=_COLOURS[name]) for name in _OTHERS]
    figure.legend(handles, _OTHERS, loc="lower center", ncols=len(_OTHERS), frameon=False)
    machine = report["machine"]
    setting = f"{machine['cpu']}, threads: {machine['threads']}, {report['dtype']}"
    figure.suptitle(f"Upwell beside torch on {setting}", y=1 - 0.15 / size[1], va="top")
    figure.tight_layout(rect=(0, 0.5 / size[1], 1, 1))
    figure.savefig(file, dpi=110)
    plt.close(figure)


def _draw_ratios(axis: plt.Axes, rows: list[dict], mode: str) -> None:
    """A group of bars per row, from Upwell's own time: to the right slower, to the left faster."""
    for y, row in enumerate(rows):
        timed = row["modes"][mode]["candidates"]
        present = [name for name in _OTHERS if name in timed]
        for i, name in enumerate(present):
            height, ratio = 0.8 / len(present), timed[name].get("ratio", 1)
            at = y - 0.4 + height * (i + 0.5)
            axis.barh(at, ratio - 1, 0.9 * height, left=1, color=_COLOURS[name])
            axis.text(max(1, ratio), at, _label(timed[name], name), va="center", fontsize=9)
    axis.axvline(1, color=_COLOURS[UPWELL], linewidth=2)
    ratios = [result.get("ratio", 1) for row in rows for result in row["modes"][mode]["candidates"].values()]
    axis.set_xscale("log")
    axis.set_xlim(0.8 * min(ratios), 4 * max(ratios))  # room for the labels
    axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.xaxis.set_major_formatter("{x:g}")
    axis.xaxis.set_minor_locator(NullLocator())
    axis.set_title(f"{mode}: time / Upwell's time (log scale)")
    axis.spines[["top", "right"]].set_visible(False)


def _label(result: dict, name: str) -> str:
    if "skipped" in result:
        return f"  {name}: skipped"
    return f"  {result['ratio']:.1f}x  ({_milliseconds(result)})"


def _milliseconds(result: dict) -> str:
    median = result["median_ms"]
    return f"{median:.0f} ms" if median >= 100 else f"{median:.3g} ms"


def _draw_shares(axis: plt.Axes, rows: list[dict]) -> None:
    """Forward above, forward+backward below, as percent of the machine's limit."""
    for y, row in enumerate(rows):
        for offset, mode, alpha in ((-0.2, FORWARD, 1.0), (0.2, TRAINING, 0.55)):
            result = row["modes"][mode]
            share, own = 100 * result["share"], _milliseconds(result["candidates"][UPWELL])
            axis.barh(y + offset, share, 0.36, color=_COLOURS[UPWELL], alpha=alpha)
            axis.text(share, y + offset, f" {share:.0f}%  ({own})", va="center", fontsize=9)
    axis.set_xlim(0, 1.6 * axis.get_xlim()[1])
    axis.set_title("Upwell: % of the machine's limit\n(dark: forward, light: forward+backward)", fontsize=10)
    axis.spines[["top", "right"]].set_visible(False)
