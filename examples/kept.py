"""What a run has made, kept in a file for the next run of the same settings."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch


def kept(path: Path, settings: dict, resume: bool, make: Callable[[], Any]) -> Any:
    """What the file has, where resume says so and its settings are these; else what make returns (tensors, numbers and
    words, in lists and dictionaries), which is written there."""
    if resume and path.exists():
        saved = torch.load(path)
        if saved["settings"] == settings:
            return saved["result"]
    result = make()
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    torch.save({"settings": settings, "result": result}, part)
    os.replace(part, path)  # whole at every moment
    return result
