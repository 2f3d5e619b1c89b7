"""Options of a resumed run that differ from its checkpoint's: refused, or followed from where it goes on, and told."""

import argparse
from pathlib import Path
from typing import Any, NamedTuple

from upwell.train import checkpoint
from upwell.train.checkpoint import DEFINES_MODEL
from upwell.train.distributed import Group
from upwell.train.errors import TrainingError


class Rules(NamedTuple):
    """Of a command: options that the model follows from, options that are followed without a word, since they say where things
    are and what they run on, and the option that says how long it trains."""

    defining: tuple[str, ...]
    places: tuple[str, ...]
    length: str


RULES = Rules(
    DEFINES_MODEL,
    ("out", "resume", "device", "workers", "threads", "images", "masks", "val_images", "val_masks"),
    "epochs",
)


def find_checkpoint(
    arguments: argparse.Namespace, group: Group, format: int | str = checkpoint.FORMAT, command: str = "upwell train"
) -> tuple[Path | None, dict[str, Any] | None]:
    """Where to resume, and what is there, written by that command; nothing for a run that starts anew."""
    path = group.together(lambda: checkpoint.find(arguments.resume, arguments.out) if group.first else None)
    saved = group.together(lambda: checkpoint.load(path, format, command) if path else None)
    # Other machines may not see the files that the first process wrote.
    return group.gather((path, saved))[0]


def check_options(path: Path, saved: dict[str, Any], wanted: dict[str, Any], rules: Rules, done: int) -> None:
    """saved is what the checkpoint path holds, wanted the options of this run, done how long was trained already."""
    for name in rules.defining:
        if saved["arguments"][name] != wanted[name]:
            raise TrainingError(
                f"{path}: was trained with --{name} {saved['arguments'][name]}, not --{name} {wanted[name]}"
            )
    differing = changed(saved["arguments"], wanted, rules)
    if differing and done >= wanted[rules.length]:
        raise TrainingError(
            f"{path}: has {rules.length[:-1]} {done} already, so none is left to follow an option ({', '.join(differing)});"
            f" --{rules.length} {done + 1} or more trains on"
        )


def changed(saved: dict[str, Any], wanted: dict[str, Any], rules: Rules) -> list[str]:
    """The options that are not as they were, in words; an option that the saved ones lack is new to Upwell."""
    return [
        f"--{name.replace('_', '-')} was {saved[name]}, is {value}"
        for name, value in wanted.items()
        if name not in rules.places and saved.get(name, value) != value
    ]
