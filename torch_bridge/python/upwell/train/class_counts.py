"""How many pixels of each class a set of masks has: one without any can be neither learned nor scored.

A count is [classes + 1] integers; the last one counts the ignored pixels.
"""

from itertools import groupby
from pathlib import Path

import numpy as np

from upwell.train.errors import TrainingError


def check_classes(pixels: np.ndarray, masks: Path, part: str, ignore: int, allow_empty: bool) -> list[str]:
    """What to tell of the masks of a part of the data; TrainingError where classes occur nowhere, unless allowed."""
    *known, ignored = pixels.tolist()
    shown = f"--ignore {ignore} is {percent(ignored, pixels.sum())} of the pixels"
    if not any(known):
        raise TrainingError(f"{masks}: no pixel of the {part} masks has a class; {shown}")
    told = [describe(pixels, part)]
    empty = [label for label, count in enumerate(known) if not count]
    if empty:
        noun, verb = ("class", "occurs") if len(empty) == 1 else ("classes", "occur")
        missing = f"{noun} {as_ranges(empty)} {verb} nowhere in the {part} masks"
        if not allow_empty:
            raise TrainingError(f"{masks}: {missing} ({shown}); --allow-empty-classes trains all the same")
        told.append(missing)
    return told


def describe(pixels: np.ndarray, part: str) -> str:
    names = [*map(str, range(len(pixels) - 1)), "ignored"]
    shares = ", ".join(f"{name}: {percent(count, pixels.sum())}" for name, count in zip(names, pixels))
    return f"pixels of the {part} masks by class: {shares}"


def percent(count: int, total: int) -> str:
    return f"{100 * count / total:.3g} %"


def as_ranges(numbers: list[int]) -> str:
    """Rising numbers in words: 1, 3, 4, 5, 6 are 1, 3 to 6."""
    runs = [
        [number for _, number in run]
        for _, run in groupby(enumerate(numbers), lambda item: item[1] - item[0])
    ]
    return ", ".join(f"{run[0]} to {run[-1]}" if len(run) > 2 else ", ".join(map(str, run)) for run in runs)
