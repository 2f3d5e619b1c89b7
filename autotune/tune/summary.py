"""What was found, in lines for a terminal or a document."""

from collections.abc import Sequence

from tabulate import tabulate

from autotune.tune.case import Finding
from autotune.tune.study_results import RIVALS, short_reason, standing


def findings_table(findings: Sequence[Finding], style: str = "simple") -> str:
    """Each kernel's ratio and parameters. style: a format of tabulate."""
    headers = ["kernel", "shape", "tuned : hand", "trials", "parameters"]
    return tabulate([_finding(finding) for finding in findings], headers, tablefmt=style, disable_numparse=True)


def comparisons_table(comparisons: Sequence[dict], style: str = "simple") -> str:
    """Times in multiples of the hand schedule's; "" where nothing was compared. The last columns: how much longer the
    best autoscheduler takes than the tuned kernel, and the tuned kernel than the machine's limit."""
    compared = [one for one in comparisons if one["candidates"]]
    if not compared:
        return ""
    known = {candidate["name"] for one in compared for candidate in one["candidates"]}
    rivals = [name for name in RIVALS if name in known]
    headers = ["kernel", "shape", "hand", *rivals, "tuned", "limit", "autoscheduler : tuned", "tuned : limit"]
    lines = [_comparison(one, rivals) for one in compared]
    return tabulate(lines, headers, tablefmt=style, disable_numparse=True)


def _finding(finding: Finding) -> list[str]:
    outcome, kernel = finding.outcome, finding.comparison["kernel"]
    text, changed = "hand schedule kept", ""
    if slower := outcome.record.get("slower_at"):
        text += f": what is faster here is not at {slower[0]['shape']}"
    if outcome.better:
        record = outcome.record
        text = f"{record['ratio']:.3f} ({record['low']:.3f} - {record['high']:.3f})"
        changed = " ".join(f"{name}={value}" for name, value in sorted(outcome.parameters.items()))
    return [kernel["generator"], finding.comparison["shape"], text, str(outcome.trials), changed]


def _comparison(one: dict, rivals: list[str]) -> list[str]:
    rows = {row["name"]: row for row in one["candidates"]}
    ratios = {name: row["ratio"] for name, row in rows.items() if row.get("ratio") is not None}
    limit = one["limit_ms"] / rows["hand"]["ms"] if one["limit_ms"] else None
    stands = standing(one)
    return [
        one["kernel"]["generator"], one["shape"], f"{rows['hand']['ms']:.3g} ms",
        *(_times(ratios[name]) if name in ratios else short_reason(rows[name]) for name in rivals),
        f"{ratios['tuned']:.3f}", f"{limit:.2f} ({one['limited_by']})" if limit else "",
        _times(stands.autoscheduler) if stands.autoscheduler else "", _times(stands.limit) if stands.limit else "",
    ]


def _times(ratio: float) -> str:
    return f"{ratio:.2f}" if ratio < 10 else f"{ratio:.0f}"
