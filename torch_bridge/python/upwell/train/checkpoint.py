"""Files that are whole or not there: written beside their place, flushed to disk, then renamed over it."""

import contextlib
import io
import os
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn

from upwell.train.errors import TrainingError
from upwell.train.model import SegmentationModel

LAST, PREVIOUS, BEST = "last.pt", "previous.pt", "best.pt"
FORMAT = 1  # of what a checkpoint of upwell.train holds
DEFINES_MODEL = ("classes", "upsampler", "encoder")


def write_whole(path: Path, data: bytes, keep: Path | None = None) -> None:
    """data as the file path; keep receives what the file was before."""
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        try:
            with open(temporary, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            if keep and path.exists():
                os.replace(path, keep)
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise TrainingError(
            f"{path}: cannot be written: {error.strerror}; what was there before is untouched"
        )


def save(path: Path, state: dict[str, Any], keep: Path | None = None, format: int | str = FORMAT) -> None:
    buffer = io.BytesIO()  # so that a full disk is an OSError of one write, not one of torch's many
    torch.save({"format": format, **state}, buffer)
    write_whole(path, buffer.getvalue(), keep)


def load(path: Path, format: int | str = FORMAT, command: str = "upwell train") -> dict[str, Any]:
    """What save was given, by that command."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise TrainingError(f"{path}: cannot be read: {error.strerror}")
    except Exception:  # zip, pickle and torch each have their own for a damaged file
        raise TrainingError(f"{path}: not a whole checkpoint{_other(path)}")
    if not isinstance(state, dict) or state.get("format") != format:
        raise TrainingError(f"{path}: not a checkpoint of {command}")
    return state


@contextlib.contextmanager
def taken_from(path: Path) -> Iterator[None]:
    """What is done with the state that path has; TrainingError where it lacks something or is of another model."""
    try:
        yield
    except (KeyError, RuntimeError, TypeError, ValueError) as error:
        told = textwrap.shorten(str(error), 200, placeholder=" ...")  # torch has a line for each parameter
        raise TrainingError(f"{path}: does not fit this model: {told}")


def restore(state: dict[str, Any], model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """The parameters and the moments alone: an optimiser's state has its options too, which this run's would give way to."""
    model.load_state_dict(state["model"])
    options = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({**state["optimizer"], "param_groups": options})


def _other(path: Path) -> str:
    """A hint at the checkpoint before a damaged one."""
    previous = path.with_name(PREVIOUS)
    return f"; the one before it: --resume {previous}" if previous != path and previous.exists() else ""


def make_folder(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TrainingError(f"{out}: {error.strerror}")


def find(resume: str | None, out: Path) -> Path | None:
    """The checkpoint to resume; None to start anew. A run that is there already is not written over."""
    here = [out / name for name in (LAST, PREVIOUS) if (out / name).exists()]
    if resume is None and here:
        raise TrainingError(f"{here[0]}: exists; continue it with --resume auto, or choose another --out")
    if resume == "auto":
        return here[0] if here else None
    path = None if resume is None else Path(resume)
    if path and here and path.is_file() and path.resolve().parent != out.resolve():
        raise TrainingError(f"{here[0]}: is of another run than {path}; choose another --out")
    return path


def load_model(path: str | Path) -> nn.Module:
    """The trained model, on the CPU, in eval mode: [N, 3, H, W] in 0 to 1 -> logits [N, classes, H, W]."""
    state = load(Path(path))
    with taken_from(Path(path)):
        model = SegmentationModel(*(state["arguments"][name] for name in DEFINES_MODEL), pretrained=False)
        model.load_state_dict(state["model"])
    return model.eval()
