"""A whole run: data, model, epochs, and what is written after each."""

import argparse
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from upwell.train import checkpoint
from upwell.train.arguments import plain
from upwell.train.checkpoint import make_folder
from upwell.train.class_counts import check_classes
from upwell.train.data import Pair, find_pairs
from upwell.train.data_check import check_data
from upwell.train.distributed import Group
from upwell.train.encoder import resolve_encoder
from upwell.train.loop import Sample, train_epoch, validate
from upwell.train.model import SegmentationModel
from upwell.train.picture import write_picture
from upwell.train.report import describe, record, write_metrics
from upwell.train.resume import RULES, changed, check_options, find_checkpoint

PICTURES = 4  # rows of predictions.png


class Run:
    """What a checkpoint holds."""

    def __init__(self, arguments: argparse.Namespace):
        self.arguments = plain(arguments)
        self.model = SegmentationModel(arguments.classes, arguments.upsampler, arguments.encoder)
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(), arguments.lr, weight_decay=arguments.weight_decay
        )
        self.history: list[dict[str, Any]] = []

    def state(self) -> dict[str, Any]:
        return {
            "arguments": self.arguments,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "history": self.history,
        }

    def restore(self, path: Path, state: dict[str, Any]) -> None:
        with checkpoint.taken_from(path):
            checkpoint.restore(state, self.model, self.optimizer)
            self.history = state["history"]


def train(arguments: argparse.Namespace, group: Group) -> None:
    say = tqdm.write if group.first else lambda text: None
    arguments.encoder = group.gather(resolve_encoder(arguments.encoder))[0]
    path, saved = find_checkpoint(arguments, group)
    if saved:
        group.together(lambda: check_options(path, saved, vars(arguments), RULES, len(saved["history"])))
    training, of_training = load_pairs(arguments.images, arguments.masks, "training", arguments, group)
    validation, of_validation = load_pairs(
        arguments.val_images, arguments.val_masks, "validation", arguments, group
    )
    group.together(lambda: make_folder(arguments.out) if group.first else None)

    torch.manual_seed(arguments.seed)
    run = group.together(lambda: Run(arguments))
    model = group.parallel(run.model)
    say(f"encoder {arguments.encoder}, upsampler {arguments.upsampler}, {group.size} x {group.device.type}")
    say(f"{len(training)} images to train on, {len(validation)} to validate on")
    say("\n".join([*of_training, *of_validation]))
    if saved:
        group.together(lambda: run.restore(path, saved))
        differing = changed(saved["arguments"], run.arguments, RULES)
        say("\n".join([f"resumed {path} after epoch {len(run.history)}", *differing]))
    for epoch in range(len(run.history), arguments.epochs):
        loss = train_epoch(model, run.optimizer, training, arguments, group, epoch)
        scores, samples = validate(run.model, validation, arguments, group, PICTURES)
        run.history.append(record(epoch, loss, scores))
        say(describe(run.history[-1], arguments.epochs))
        group.together(lambda: write(run, samples) if group.first else None)
    say(f"{arguments.out.resolve()}: {summary(run.history)}")


def load_pairs(
    images: Path, masks: Path, part: str, arguments: argparse.Namespace, group: Group
) -> tuple[list[Pair], list[str]]:
    """The pairs of one part, training or validation, each of them read, and what to tell of them."""
    pairs = group.together(lambda: find_pairs(images, masks))
    survey = check_data(pairs, part, arguments.classes, arguments.ignore, group)
    told = group.together(
        lambda: check_classes(survey.pixels, masks, part, arguments.ignore, arguments.allow_empty_classes)
    )
    if survey.turned_alone:
        told.append(
            f"{survey.turned_alone} {part} images have another EXIF orientation than their masks;"
            " each is turned as its own says, which is right for masks drawn on images as viewers show them"
        )
    return pairs, told


def write(run: Run, samples: list[Sample]) -> None:
    """Best before last: killed in between, the epoch is repeated from last.pt, and its best written again."""
    state, out = run.state(), Path(run.arguments["out"])
    if best_epoch(run.history) == len(run.history):
        checkpoint.save(out / checkpoint.BEST, state)
    checkpoint.save(out / checkpoint.LAST, state, keep=out / checkpoint.PREVIOUS)
    write_metrics(out / "metrics.json", run.arguments, run.history)
    write_picture(out / "predictions.png", samples, run.arguments["classes"], run.arguments["ignore"])


def best_epoch(history: list[dict[str, Any]]) -> int:
    """The first with the highest mIoU, counted from 1."""
    return max(history, key=lambda entry: entry["miou"] or 0)["epoch"]


def summary(history: list[dict[str, Any]]) -> str:
    best = best_epoch(history)
    return f"{len(history)} epochs, best mIoU {100 * (history[best - 1]['miou'] or 0):.1f} % in epoch {best}"
