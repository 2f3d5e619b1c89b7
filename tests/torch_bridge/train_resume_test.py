"""Options on --resume: each is followed or refused; one that is new to the command line fails until it is here."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from PIL import Image

from train_shapes import IGNORE, run, write_data
from upwell.train import loop
from upwell.train.arguments import build_parser
from upwell.train.checkpoint import load, save
from upwell.train.encoder import LITE0
from upwell.train.errors import TrainingError

OPTIONS = [action.dest for action in build_parser()._actions if action.dest != "help"]


class Resumed(NamedTuple):
    """A run of one epoch, what its second made of it with the same options, and another set of data."""

    data: Path
    other: Path
    checkpoint: Path
    second: dict

    def run(self, out: Path, **options: object) -> dict:
        run(self.data, out, **{"resume": self.checkpoint, **options})
        return load(out / "last.pt")


@pytest.fixture(scope="module")
def resumed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("resumed")
    write_data(folder / "data")
    write_data(folder / "other", seed=1)
    run(folder / "data", folder / "first", epochs=1)
    start = Resumed(folder / "data", folder / "other", folder / "first/last.pt", {})
    return start._replace(second=start.run(folder / "second"))


def same_parameters(one: dict, other: dict) -> bool:
    return all(torch.equal(value, other["model"][name]) for name, value in one["model"].items())


def trains_on(option: str, value: object) -> Callable:
    """Not as the run that kept its options, but as one whose checkpoint had the value from the start."""

    def check(resumed: Resumed, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        followed = resumed.run(folder / "followed", **{option: value})
        assert not same_parameters(followed, resumed.second)
        always = load(resumed.checkpoint)
        always["arguments"][option] = value
        for parameters in always["optimizer"]["param_groups"]:
            parameters.update({option: value} if option in parameters else {})
        save(folder / "always.pt", always)
        again = resumed.run(folder / "always", **{option: value, "resume": folder / "always.pt"})
        assert same_parameters(followed, again)
        assert followed["optimizer"]["param_groups"] == again["optimizer"]["param_groups"]

    return check


def reads(option: str, folder: str, trains: bool) -> Callable:
    """The files of another folder, to train on or to judge by."""

    def check(resumed: Resumed, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        state = resumed.run(out, **{option: resumed.other / folder})
        assert same_parameters(state, resumed.second) == (not trains)
        assert state["history"][0] == resumed.second["history"][0]
        assert state["history"][1]["iou"] != resumed.second["history"][1]["iou"]

    return check


def refused(option: str, value: object) -> Callable:
    def check(resumed: Resumed, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        refusal = rf"last.pt: was trained with --{option} \w+, not --{option} {value}"
        with pytest.raises(TrainingError, match=refusal):
            resumed.run(out, **{option: value})

    return check


def recoloured(folder: Path, to: Path, change: Callable) -> Path:
    """Masks of a folder, changed."""
    to.mkdir(parents=True)
    for path in folder.iterdir():
        Image.fromarray(change(np.array(Image.open(path)))).save(to / path.name)
    return to


def ignores_another_value(resumed: Resumed, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def change(mask: np.ndarray) -> np.ndarray:
        return np.where(mask == IGNORE, 254, mask).astype(np.uint8)

    train = recoloured(resumed.data / "train/masks", folder / "train", change)
    val = recoloured(resumed.data / "val/masks", folder / "val", change)
    state = resumed.run(folder / "out", masks=train, val_masks=val, ignore=254)
    assert same_parameters(state, resumed.second) and state["history"] == resumed.second["history"]
    with pytest.raises(TrainingError, match=f"value {IGNORE} .* nor --ignore 254"):
        resumed.run(folder / "out2", ignore=254)


def allows_empty_classes(resumed: Resumed, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def change(mask: np.ndarray) -> np.ndarray:
        return np.where(mask == 2, 0, mask)

    masks = recoloured(resumed.data / "train/masks", folder / "train", change)
    with pytest.raises(TrainingError, match="class 2 occurs nowhere"):
        resumed.run(folder / "out", masks=masks)
    assert len(resumed.run(folder / "out", masks=masks, allow_empty_classes=True)["history"]) == 2


def has_another_length(resumed: Resumed, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    longer = resumed.run(folder / "longer", epochs=3)
    assert len(longer["history"]) == 3
    assert longer["history"][1] != resumed.second["history"][1]  # by its learning rate
    refusal = r"last.pt: has epoch 3 already, .*--epochs was 3, is 2\); --epochs 4 or more"
    with pytest.raises(TrainingError, match=refusal):
        resumed.run(folder / "shorter", resume=folder / "longer/last.pt", epochs=2)
    assert not (folder / "shorter").exists()


def writes_elsewhere(resumed: Resumed, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = resumed.checkpoint.read_bytes()
    assert same_parameters(resumed.run(out), resumed.second)
    assert {path.name for path in out.iterdir()} >= {"last.pt", "metrics.json", "predictions.png"}
    assert resumed.checkpoint.read_bytes() == before


def starts_elsewhere(resumed: Resumed, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(resumed.data, folder / "first", epochs=1, seed=5)
    assert not same_parameters(resumed.run(folder / "out", resume=folder / "first/last.pt"), resumed.second)
    with pytest.raises(TrainingError, match="cannot be read: Is a directory"):
        resumed.run(folder / "first", resume="")  # as of a variable that is not set: never a new start


def runs_elsewhere(resumed: Resumed, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(TrainingError, match="--device cuda: process 0 of this machine needs a GPU"):
        resumed.run(out, device="cuda")


def reads_in_processes(resumed: Resumed, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen, loader = [], loop.DataLoader

    def load_without(*of, num_workers: int, worker_init_fn: object, **options):
        seen.append(num_workers)
        return loader(*of, **options)

    monkeypatch.setattr(loop, "DataLoader", load_without)
    assert same_parameters(resumed.run(out, workers=2), resumed.second)
    assert seen == [2, 2]


def computes_in_threads(resumed: Resumed, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    resumed.run(out, threads=2)
    assert torch.get_num_threads() == 2


CHECKS = {
    "images": reads("images", "train/images", trains=True),
    "masks": reads("masks", "train/masks", trains=True),
    "val_images": reads("val_images", "val/images", trains=False),
    "val_masks": reads("val_masks", "val/masks", trains=False),
    "classes": refused("classes", 4),
    "ignore": ignores_another_value,
    "allow_empty_classes": allows_empty_classes,
    "upsampler": refused("upsampler", "nearest"),
    "encoder": refused("encoder", LITE0),
    "epochs": has_another_length,
    "batch_size": trains_on("batch_size", 3),
    "crop": trains_on("crop", 40),
    "lr": trains_on("lr", 1e-2),
    "weight_decay": trains_on("weight_decay", 0.3),
    "seed": trains_on("seed", 5),
    "out": writes_elsewhere,
    "resume": starts_elsewhere,
    "device": runs_elsewhere,
    "workers": reads_in_processes,
    "threads": computes_in_threads,
}


@pytest.mark.parametrize("option", OPTIONS)
def test_every_option_is_followed_or_refused_on_resuming(option, resumed, tmp_path, monkeypatch):
    assert option in CHECKS, f"--{option} is new: what is a resumed run to do with another value?"
    CHECKS[option](resumed, tmp_path, monkeypatch)


def test_a_finished_run_refuses_options_that_nothing_could_follow(resumed, tmp_path, capsys):
    for name, value in {"lr": 1e-2, "weight_decay": 0.3, "seed": 5, "batch_size": 3}.items():
        told = f"has epoch 1 already, so none is left .*--{name.replace('_', '-')} was .*, is {value}"
        with pytest.raises(TrainingError, match=told):
            resumed.run(tmp_path, epochs=1, **{name: value})
    before = resumed.checkpoint.read_bytes()
    run(resumed.data, resumed.checkpoint.parent, epochs=1, resume="auto")
    assert resumed.checkpoint.read_bytes() == before
    assert "1 epochs, best mIoU" in capsys.readouterr().out


def test_options_of_a_checkpoint_that_knew_fewer_are_not_told(resumed, tmp_path, capsys):
    older = load(resumed.checkpoint)
    del older["arguments"]["allow_empty_classes"]
    save(tmp_path / "older.pt", older)
    assert same_parameters(resumed.run(tmp_path / "out", resume=tmp_path / "older.pt"), resumed.second)
    assert "allow-empty" not in capsys.readouterr().out
