"""Options of a resumed run that differ from its checkpoint's: refused, or followed from the next epoch on and told."""

from pathlib import Path
from typing import Any

from upwell.train.checkpoint import DEFINES_MODEL
from upwell.train.errors import TrainingError

# Where things are and what they run on: followed without a word.
PLACES = ("out", "resume", "device", "workers", "threads", "images", "masks", "val_images", "val_masks")


def check_options(path: Path, saved: dict[str, Any], wanted: dict[str, Any]) -> None:
    """saved is what the checkpoint path holds, wanted the options of this run."""
    for name in DEFINES_MODEL:
        if saved["arguments"][name] != wanted[name]:
            raise TrainingError(
                f"{path}: was trained with --{name} {saved['arguments'][name]}, not --{name} {wanted[name]}"
            )
    done, differing = len(saved["history"]), changed(saved["arguments"], wanted)
    if differing and done >= wanted["epochs"]:
        raise TrainingError(
            f"{path}: has epoch {done} already, so none is left to follow an option ({', '.join(differing)});"
            f" --epochs {done + 1} or more trains on"
        )


def changed(saved: dict[str, Any], wanted: dict[str, Any]) -> list[str]:
    """The options that are not as they were, in words; an option that the saved ones lack is new to Upwell."""
    return [
        f"--{name.replace('_', '-')} was {saved[name]}, is {value}"
        for name, value in wanted.items()
        if name not in PLACES and saved.get(name, value) != value
    ]
