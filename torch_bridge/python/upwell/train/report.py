"""What a run tells: a line and a table per epoch, and metrics.json."""

import json
from pathlib import Path
from typing import Any

from tabulate import tabulate

from upwell.train.checkpoint import write_whole
from upwell.train.metrics import Scores, mean


def record(epoch: int, loss: float, scores: Scores) -> dict[str, Any]:
    """An epoch as metrics.json has it; null for a class that is neither in the truth nor predicted."""
    iou, boundary = scores.iou(), scores.boundary_iou()
    return {
        "epoch": epoch + 1,
        "loss": loss,
        "miou": mean(iou),
        "mean_boundary_iou": mean(boundary),
        "iou": iou,
        "boundary_iou": boundary,
    }


def percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f}"


def describe(entry: dict[str, Any], epochs: int) -> str:
    rows = [[c, *map(percent, pair)] for c, pair in enumerate(zip(entry["iou"], entry["boundary_iou"]))]
    rows.append(["mean", percent(entry["miou"]), percent(entry["mean_boundary_iou"])])
    table = tabulate(
        rows, ("class", "IoU, %", "boundary IoU, %"), disable_numparse=True, colalign=("right",) * 3
    )
    head = f"epoch {entry['epoch']}/{epochs}: loss {entry['loss']:.4f}, mIoU {percent(entry['miou'])} %"
    return f"{head}\n{table}\n"


def write_metrics(path: Path, arguments: dict[str, Any], history: list[dict[str, Any]], entries: str = "epochs") -> None:
    """entries: what history has one of each."""
    write_whole(path, json.dumps({"arguments": arguments, entries: history}, indent=1).encode())
