"""What is left of a run of bench_gpu.py: a Markdown table and a picture, beside its JSON."""

import json
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

from candidates import COMPILED, EAGER, EXACT, UPWELL  # noqa: E402
from report import skipped_lines, table_line  # noqa: E402
from workloads import FORWARD, TRAINING  # noqa: E402

_PUBLISHED = "published CUDA"
_OTHERS = (EAGER, COMPILED, EXACT, _PUBLISHED)
_COLOURS = {EAGER: "#d1495b", COMPILED: "#edae49", EXACT: "#66a182", _PUBLISHED: "#8d96a3", UPWELL: "#00798c"}


def write(file: Path) -> list[Path]:
    """Writes FILE.md and FILE.png beside FILE.json, and returns them."""
    report = json.loads(file.read_text())
    files = [file.with_suffix(suffix) for suffix in (".md", ".png")]
    files[0].write_text(markdown(report))
    _picture(report, files[1])
    return files


def markdown(report: dict) -> str:
    """The machine, then one table for each mode."""
    tables = [f"### {mode}\n\n{_table(report['rows'], mode)}" for mode in (FORWARD, TRAINING)]
    return "\n\n".join([_headline(report), *tables, _LEGEND, *skipped_lines(report["rows"])]) + "\n"


_LEGEND = """\
Milliseconds per call between CUDA events: median (quartiles). In brackets: how many times Upwell's median. GB/s:
Upwell's, with every input and output counted once. Memory: MiB that one call adds at most: Upwell / eager."""


def _headline(report: dict) -> str:
    machine = report["machine"]
    tiny = " A dry run on tiny maps." if report["quick"] else ""
    return (
        f"{machine['device']}, driver {machine.get('driver')}, torch {machine['torch']}, commit {machine['commit']}, "
        f"{machine['date']}; copy within the device, measured in this run: "
        f"{report['copy_bytes_per_s'] / 1e9:.0f} GB/s.{tiny}"
    )


def _table(rows: list[dict], mode: str) -> str:
    lines = [table_line(["name", "shape", UPWELL, *_OTHERS, "GB/s", "memory"]), table_line(["---"] * 2 + ["---:"] * 6)]
    for row in rows:
        if mode not in row["modes"]:  # the run was ended before
            continue
        notes = row["modes"][mode]["candidates"]
        times = [_time(notes.get(name), name) for name in (UPWELL, *_OTHERS)]
        speed = notes[UPWELL].get("bytes_per_s")
        memory = " / ".join(_mebibytes(notes.get(name, {}).get("peak_bytes")) for name in (UPWELL, EAGER))
        lines.append(table_line([row["name"], row["shape"], *times, f"{speed / 1e9:.0f}" if speed else "", memory]))
    return "\n".join(lines)


def _mebibytes(value: int | None) -> str:
    return "-" if value is None else f"{value / 2**20:.0f}"


def _time(note: dict | None, name: str) -> str:
    if note is None:
        return ""
    if "skipped" in note:
        return "skipped"
    ratio = f" [{note['ratio']:.1f}x]" if name != UPWELL and "ratio" in note else ""
    return f"{note['median_ms']:.3f} ({note['low_ms']:.3f}-{note['high_ms']:.3f}){ratio}"


def _picture(report: dict, file: Path) -> None:
    rows = [row for row in report["rows"] if set(row["modes"]) == {FORWARD, TRAINING}]
    figure, axes = plt.subplots(1, 3, figsize=(15, 1.8 + 0.6 * len(rows)), sharey=True, width_ratios=[3, 3, 1.6])
    for axis, mode in zip(axes, (FORWARD, TRAINING)):
        _draw_ratios(axis, rows, mode)
    _draw_speed(axes[2], rows, report["copy_bytes_per_s"])
    axes[0].set_yticks(range(len(rows)), [f"{row['name']}\n{row['shape']}" for row in rows])
    axes[0].set_ylim(len(rows) - 0.4, -0.6)  # first row on top
    handles = [plt.Rectangle((0, 0), 1, 1, color=_COLOURS[name]) for name in _OTHERS]
    figure.legend(handles, _OTHERS, loc="lower center", ncols=len(_OTHERS), frameon=False)
    figure.suptitle(f"Upwell beside torch on {report['machine']['device']}")
    figure.tight_layout(rect=(0, 0.04, 1, 1))
    figure.savefig(file, dpi=110)
    plt.close(figure)


def _draw_ratios(axis: plt.Axes, rows: list[dict], mode: str) -> None:
    """A bar per candidate from Upwell's own time: to the right slower, to the left faster."""
    ratios = [1.0]
    for y, row in enumerate(rows):
        notes = row["modes"][mode]["candidates"]
        present = [name for name in _OTHERS if "ratio" in notes.get(name, {})]
        for i, name in enumerate(present):
            height, ratio = 0.8 / len(present), notes[name]["ratio"]
            at = y - 0.4 + height * (i + 0.5)
            ratios.append(ratio)
            axis.barh(at, ratio - 1, 0.9 * height, left=1, color=_COLOURS[name])
            axis.text(max(1, ratio), at, f" {ratio:.1f}x ({notes[name]['median_ms']:.3g} ms)", va="center", fontsize=8)
    axis.axvline(1, color=_COLOURS[UPWELL], linewidth=2)
    axis.set_xscale("log")
    axis.set_xlim(0.8 * min(ratios), 4 * max(ratios))  # room for the labels
    axis.set_title(f"{mode}: time / Upwell's time (log scale)", fontsize=10)
    axis.spines[["top", "right"]].set_visible(False)


def _draw_speed(axis: plt.Axes, rows: list[dict], copy: float) -> None:
    """Upwell's bytes per second; the line is a copy's."""
    for y, row in enumerate(rows):
        for offset, mode, alpha in ((-0.2, FORWARD, 1.0), (0.2, TRAINING, 0.55)):
            note = row["modes"][mode]["candidates"][UPWELL]
            if "median_ms" in note:
                speed = note["bytes_per_s"] / 1e9
                axis.barh(y + offset, speed, 0.36, color=_COLOURS[UPWELL], alpha=alpha)
                axis.text(speed, y + offset, f" {speed:.0f} ({note['median_ms']:.3g} ms)", va="center", fontsize=8)
    axis.axvline(copy / 1e9, color="#8d96a3", linewidth=1)
    axis.set_xlim(0, 1.5 * max(copy / 1e9, axis.get_xlim()[1]))
    axis.set_title("Upwell: GB/s (line: a copy)\n(dark: forward, light: forward+backward)", fontsize=10)
    axis.spines[["top", "right"]].set_visible(False)
