"""The pictures of a report: what was compared, and of each study its history, its important parameters, a heat map."""

import math
import textwrap
from collections.abc import Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402
from matplotlib.colors import Normalize  # noqa: E402
from matplotlib.patches import Rectangle  # noqa: E402
from matplotlib.patheffects import withStroke  # noqa: E402
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, NullLocator  # noqa: E402

from autotune.tune.study_results import FAILURES, Cell, StudyResult, short_reason  # noqa: E402

# Told apart by colour-blind people too: they differ in lightness, and every bar and row says its name.
_GREY, _TEAL, _YELLOW, _RED, _DARK = "#8d96a3", "#00798c", "#edae49", "#d1495b", "#30363d"
_COLOURS = {
    "default": "#c3c9d0",
    "mullapudi2016": _RED,
    "adams2019": _YELLOW,
    "anderson2021": _YELLOW,
    "hand": _GREY,
    "tuned": _TEAL,
}
_MARKERS = {"ok": ("o", _TEAL), "pruned": ("v", _YELLOW)} | {outcome: ("x", _RED) for outcome in FAILURES}
_DPI = 150
_CELLS = 12  # values of a parameter that a heat map has room for


def comparison_picture(comparisons: Sequence[dict], file: Path) -> None:
    """A group of bars for each kernel and shape, from the machine's limit, or, where that is not known, from the hand
    schedule's time."""
    limited = all(comparison.get("limit_ms") for comparison in comparisons)
    counts = [len(comparison["candidates"]) for comparison in comparisons]
    # Bars are one high; a gap of one between groups.
    tops = [sum(counts[:i]) + i for i in range(len(counts))]
    height = 1.5 + 0.24 * (sum(counts) + len(counts))
    figure, axis = plt.subplots(figsize=(9.5, height))
    ends = [1.0]
    for top, comparison in zip(tops, comparisons):
        base = comparison["limit_ms"] if limited else _hand_ms(comparison)
        for place, candidate in enumerate(comparison["candidates"]):
            ends.append(_bar(axis, top + place, candidate, base))
    axis.axvline(1, color=_DARK, linewidth=1.5)
    axis.set_xscale("log")
    axis.set_xlim(0.85 * min(ends), 4.5 * max(ends))  # room for the labels
    _log_ticks(axis.xaxis, (1, 2, 5) if max(ends) / min(ends) < 500 else (1,))
    names = [_wrapped(f"{title(c['kernel'])}\n{c['shape']}", 34) for c in comparisons]
    axis.set_yticks([top + (count - 1) / 2 for top, count in zip(tops, counts)], names, fontsize=9)
    axis.set_ylim(sum(counts) + len(counts) - 1.2, -0.8)
    axis.tick_params(labeltop=len(comparisons) > 3)  # the bottom is far from the first rows
    axis.grid(axis="x", color="#e4e4e4")
    axis.set_axisbelow(True)
    axis.set_xlabel(f"time / {'the limit of the machine' if limited else 'time of the hand schedule'} (log scale)")
    axis.spines[["top", "right"]].set_visible(False)
    _save(figure, file)


def _hand_ms(comparison: dict) -> float | None:
    return next((c.get("ms") for c in comparison["candidates"] if c["name"] == "hand"), None)


def _bar(axis: plt.Axes, y: float, candidate: dict, base: float | None) -> float:
    """Returns the bar's end."""
    name, ms = candidate["name"], candidate.get("ms")
    if candidate["outcome"] != "ok" or not ms or not base:
        why = short_reason(candidate) if candidate["outcome"] != "ok" else "not measured"
        axis.text(1, y, f"  {name}: {why}", va="center", fontsize=8, color=_DARK, style="italic")
        return 1
    ratio = ms / base
    axis.barh(y, ratio - 1, 0.86, left=1, color=_COLOURS.get(name, _DARK))
    weight = "bold" if name == "tuned" else "normal"
    times = f"{ratio:.3g}" if ratio < 100 else f"{ratio:.0f}"
    axis.text(max(1, ratio), y, f"  {name} {times}x ({milliseconds(ms)})", va="center", fontsize=8, weight=weight)
    return ratio


def history_picture(result: StudyResult, file: Path) -> None:
    """Every trial in its order: what was measured below, what was not, above in a row for each outcome."""
    failures = [outcome for outcome in FAILURES if any(trial.outcome == outcome for trial in result.trials)]
    heights = [0.26 * len(failures) + 0.05, 3] if failures else [3]
    figure, all_axes = plt.subplots(
        len(heights), 1, figsize=(6.2, 1.1 + sum(heights)), sharex=True, squeeze=False, height_ratios=heights
    )
    axis = all_axes[-1][0]
    for outcome in ("ok", "pruned"):
        trials = [trial for trial in result.trials if trial.outcome == outcome and trial.ratio is not None]
        if trials:
            marker, colour = _MARKERS[outcome]
            label = "measured" if outcome == "ok" else "pruned: its ratio so far"
            numbers, ratios = [t.number for t in trials], [t.ratio for t in trials]
            style = {"marker": marker, "edgecolors": _DARK, "linewidths": 0.4, "zorder": 3}
            axis.scatter(numbers, ratios, 26, colour, label=label, **style)
    last = max([trial.number for trial in result.trials], default=0)
    steps = result.best_so_far()
    if steps:
        numbers, ratios = zip(*steps, (last, steps[-1][1]))
        axis.step(numbers, ratios, color=_DARK, where="post", linewidth=1.3, label="best so far", zorder=2)
    axis.axhline(1, color=_RED, linestyle="--", linewidth=1.2, label="hand schedule")
    _ratio_scale(axis, [trial.ratio for trial in result.trials if trial.ratio is not None])
    axis.set_ylabel("time / hand schedule's")
    axis.set_xlabel("trial")
    axis.set_xlim(-0.04 * last - 0.5, 1.04 * last + 0.5)
    axis.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axis.grid(axis="y", color="#e4e4e4")
    axis.spines[["top", "right"]].set_visible(False)
    if not any(trial.ratio is not None for trial in result.trials):
        axis.text(0.5, 0.75, "no trial was measured", transform=axis.transAxes, ha="center", color=_DARK)
    if failures:
        above = all_axes[0][0]
        for row, outcome in enumerate(failures):
            numbers = [trial.number for trial in result.trials if trial.outcome == outcome]
            marker, colour = _MARKERS[outcome]
            above.scatter(numbers, [row] * len(numbers), 24, colour, marker=marker, linewidths=1.4)
        above.set_yticks(range(len(failures)), failures)
        above.set_ylim(len(failures) - 0.4, -0.6)
        above.tick_params(bottom=False, left=False)
        above.spines[["top", "right", "bottom", "left"]].set_visible(False)
        above.set_facecolor("#f6eeee")
    handles, labels = axis.get_legend_handles_labels()
    figure.legend(handles, labels, loc="upper center", ncols=2, frameon=False, fontsize=9)
    _save(figure, file, legend_lines=(len(labels) + 1) // 2)


def importance_picture(result: StudyResult, file: Path) -> None:
    """The text in its place where there are no importances."""
    importances = result.importances
    shown = list(reversed(importances.items()))
    figure, axis = plt.subplots(figsize=(6.2, 0.9 + 0.34 * max(3, len(shown))))
    if shown:
        axis.barh(range(len(shown)), [share for _, share in shown], 0.66, color=_TEAL)
        for y, (_, share) in enumerate(shown):
            axis.text(share, y, f"  {share:.0%}", va="center", fontsize=9)
        axis.set_yticks(range(len(shown)), [name for name, _ in shown])
        axis.set_xlim(0, 1.15 * max(share for _, share in shown))
        axis.set_xlabel("share of what sets the best trials apart (PED-ANOVA)")
        axis.xaxis.set_major_formatter(lambda share, _: f"{share:.0%}")
        axis.spines[["top", "right"]].set_visible(False)
    else:
        _only_text(axis, result.why_no_importances)
    _save(figure, file)


def heat_map_picture(result: StudyResult, file: Path) -> None:
    """The best ratio in each cell of the two most important parameters, whatever the others were."""
    names = result.most_important(2)
    grid = result.grid(names)
    if not names or not grid:
        figure, axis = plt.subplots(figsize=(6.2, 1.5))
        _only_text(axis, "No trial came to an outcome." if names else "No parameter has more than one value.")
        _save(figure, file)
        return
    values = [result.shown_values(name, _CELLS) for name in names]
    columns, rows = values[0], values[1] if len(names) > 1 else [None]
    figure, axis = plt.subplots(figsize=(2.0 + 0.74 * max(5, len(columns)), 1.9 + 0.62 * max(1.2, len(rows))))
    ratios = [cell.best for cell in grid.values() if cell.best is not None]
    # The hand schedule's time is the middle, white; beyond a factor of 2 the colour says no more.
    span = min(math.log(2), max([0.1, *(abs(math.log(ratio)) for ratio in ratios)]))
    norm, colours = Normalize(-span, span), matplotlib.colormaps["RdBu_r"]
    for y, row in enumerate(rows):
        for x, column in enumerate(columns):
            _cell(axis, x, y, grid.get((column, row)), norm, colours)
    _mark(axis, result.hand, names, columns, rows, "hand schedule", "--", 0.03)
    _mark(axis, result.chosen, names, columns, rows, "chosen", "-", 0.09)
    axis.set_xlim(-0.5, len(columns) - 0.5)
    axis.set_ylim(-0.5, len(rows) - 0.5)
    axis.set_xticks(range(len(columns)), columns)
    axis.set_xlabel(names[0])
    axis.set_yticks(range(len(rows)) if len(names) > 1 else [], rows if len(names) > 1 else None)
    axis.set_ylabel(names[1] if len(names) > 1 else "")
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)
    if ratios:
        ticks = [-span, -span / 2, 0, span / 2, span]
        scale = plt.cm.ScalarMappable(norm, colours)
        bar = figure.colorbar(scale, ax=axis, ticks=ticks, aspect=max(6, 5 * len(rows)), pad=0.03)
        bar.ax.set_yticklabels([f"{math.exp(tick):.2f}" for tick in ticks], fontsize=8)
        bar.set_label("time / hand schedule's", fontsize=8)
        bar.outline.set_visible(False)
    handles, labels = axis.get_legend_handles_labels()
    figure.legend(handles, labels, loc="upper center", ncols=2, frameon=False, fontsize=9)
    _save(figure, file, legend_lines=1)


def _cell(axis: plt.Axes, x: int, y: int, cell: Cell | None, norm: Normalize, colours) -> None:
    if cell is None:  # never tried
        axis.add_patch(Rectangle((x - 0.48, y - 0.48), 0.96, 0.96, facecolor="#f3f4f5"))
        return
    measured = cell.best is not None
    colour = colours(norm(math.log(cell.best))) if measured else "#dfe2e5"
    axis.add_patch(Rectangle((x - 0.48, y - 0.48), 0.96, 0.96, facecolor=colour))
    dark = measured and 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2] < 0.5
    ink = "white" if dark else _DARK
    style = {"ha": "center", "va": "center", "color": ink}
    axis.text(x, y + 0.1, _ratio_text(cell.best) if measured else "–", fontsize=9.5, **style)
    axis.text(x, y - 0.24, f"of {cell.trials}", fontsize=7, **style)


def _ratio_text(ratio: float) -> str:
    return f"{ratio:.2f}" if ratio < 10 else f"{ratio:.3g}"


def _mark(axis: plt.Axes, point: dict[str, int], names: Sequence[str], columns: list, rows: list, label: str, line: str,
          inset: float) -> None:
    place = [point.get(name) for name in names] + [None] * (2 - len(names))
    if place[0] not in columns or place[1] not in rows:
        return
    x, y, side = columns.index(place[0]), rows.index(place[1]), 1 - 2 * inset
    style = {"edgecolor": "black", "linewidth": 1.8, "linestyle": line, "zorder": 4, "label": label}
    halo = [withStroke(linewidth=4, foreground="white")]
    axis.add_patch(Rectangle((x - side / 2, y - side / 2), side, side, fill=False, path_effects=halo, **style))


def title(kernel: dict) -> str:
    """For people: fns forward, K=3, ratio 4, float32."""
    sizes = [f"K={kernel['kernel_size']}", f"ratio {kernel['ratio']}"] if kernel.get("kernel_size") is not None else []
    return ", ".join([f"{kernel['kernel']} {kernel['direction']}".strip(), *sizes, kernel["dtype"]])


def milliseconds(ms: float) -> str:
    return f"{ms:.0f} ms" if ms >= 100 else f"{ms:.3g} ms"


def _wrapped(text: str, width: int) -> str:
    return "\n".join(part for line in text.splitlines() for part in textwrap.wrap(line, width) or [""])


def _only_text(axis: plt.Axes, text: str) -> None:
    axis.text(0.5, 0.5, _wrapped(text, 52), transform=axis.transAxes, ha="center", va="center", color=_DARK)
    axis.set_axis_off()


def _ratio_scale(axis: plt.Axes, ratios: list[float]) -> None:
    """Logarithmic where the ratios are far apart."""
    low, high = min([1, *ratios]), max([1, *ratios])
    if high / low > 3:
        axis.set_yscale("log")
        axis.set_ylim(low / 1.15, high * 1.2)
        _log_ticks(axis.yaxis)
    else:
        margin = max(0.05, 0.08 * (high - low))
        axis.set_ylim(low - margin, high + margin)


def _log_ticks(axis: matplotlib.axis.Axis, digits: Sequence[int] = (1, 2, 5)) -> None:
    axis.set_major_locator(LogLocator(subs=digits))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_locator(NullLocator())
    axis.set_minor_formatter(NullFormatter())


def _save(figure: plt.Figure, file: Path, legend_lines: int = 0) -> None:
    """The legend stands above the axes."""
    height = figure.get_size_inches()[1]
    figure.tight_layout(rect=(0, 0, 1, 1 - 0.24 * legend_lines / height))
    figure.savefig(file, dpi=_DPI, facecolor="white", metadata={"Software": None})
    plt.close(figure)
