"""A whole run: backbone, images, steps, checkpoints, and the features that are written at its end."""

import argparse
import contextlib
import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader
from tqdm import tqdm

from upwell.densify import backbone, consistency, dense
from upwell.densify.densifier import COMMAND, FORMAT, Densifier, check_backbone, fingerprint
from upwell.densify.images import Folder, folder
from upwell.densify.objective import Objective, Teacher, Weights
from upwell.densify.views import Shares, View, Views
from upwell.densify.write import write
from upwell.train import checkpoint, interrupt
from upwell.train.arguments import plain
from upwell.train.checkpoint import make_folder
from upwell.train.data import open_image
from upwell.train.data_check import check_same, look_at_share
from upwell.train.distributed import Group
from upwell.train.errors import TrainingError
from upwell.train.loop import learning_rate, leave_interrupt_to_the_parent
from upwell.train.report import write_metrics
from upwell.train.resume import Rules, changed, check_options, find_checkpoint

# What of a run's options its checkpoint depends on, and what may change without a word.
RULES = Rules(
    defining=("backbone", "layer", "upsampler", "ratio"),
    places=(
        *("out", "resume", "device", "workers", "threads", "images", "held_out", "weights", "save_every"),
        *("write", "write_images", "format", "dtype"),
    ),
    length="steps",
)


class Run:
    """What a checkpoint holds."""

    def __init__(self, arguments: argparse.Namespace, frozen: nn.Module):
        self.arguments = plain(arguments)
        self.backbone, self.channels = fingerprint(frozen), frozen.channels
        self.dense = make_dense(arguments, frozen)
        parameters = [each for each in self.dense.parameters() if each.requires_grad]
        self.optimizer = None
        if parameters:
            self.optimizer = torch.optim.AdamW(parameters, arguments.lr, weight_decay=arguments.weight_decay)
        self.step = 0
        self.history: list[dict[str, Any]] = []

    def state(self) -> dict[str, Any]:
        return {
            "arguments": self.arguments,
            "backbone": self.backbone,
            "channels": self.channels,
            "model": self.dense.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "history": self.history,
        }

    def restore(self, path: Path, state: dict[str, Any]) -> None:
        with checkpoint.taken_from(path):
            checkpoint.restore(state, self.dense, self.optimizer)
            self.step, self.history = state["step"], state["history"]


def make_dense(arguments: argparse.Namespace, frozen: nn.Module) -> dense.Dense:
    try:
        return dense.make(arguments.upsampler, frozen.channels, arguments.ratio)
    except ValueError as error:
        raise TrainingError(f"--upsampler {arguments.upsampler}: {error}")


def train(arguments: argparse.Namespace, group: Group) -> None:
    say = tqdm.write if group.first else lambda text: None
    frozen = group.together(lambda: backbone.make(arguments.backbone, arguments.weights, arguments.layer))
    group.together(lambda: check_size(arguments, frozen))
    path, saved = find_checkpoint(arguments, group, FORMAT, COMMAND)
    if saved:
        group.together(lambda: check_backbone(path, saved, frozen))
        group.together(lambda: check_options(path, saved, vars(arguments), RULES, saved["step"]))
    torch.manual_seed(arguments.seed)
    run = group.together(lambda: Run(arguments, frozen))
    frozen.to(group.device)
    run.dense.to(group.device)
    if saved:
        group.together(lambda: run.restore(path, saved))
    folders = {name: find(getattr(arguments, name), group) for name in ("images", "held_out", "write_images")}
    group.together(lambda: make_folders(run, arguments, group))

    say(
        f"backbone {frozen.name}: {frozen.channels} channels, stride {frozen.stride}; upsampler {arguments.upsampler} by"
        f" {arguments.ratio}, {group.size} x {group.device.type}"
    )
    say(f"{len(folders['images'])} images to train on")
    if saved:
        differing = changed(saved["arguments"], run.arguments, RULES)
        say("\n".join([f"resumed {path} after step {run.step}", *differing]))
    if run.optimizer:
        train_steps(run, frozen, folders["images"], arguments, group, say)
    else:
        say(f"{arguments.upsampler} has no parameters: nothing to train")
    if folders["held_out"] and group.first:
        tell_scores(run.dense, frozen, folders["held_out"], arguments, group, say)
    if arguments.write:
        images = folders["write_images"] or folders["images"]
        densifier = Densifier(frozen, run.dense)
        group.together(lambda: write(densifier, images, arguments.write, arguments.format, arguments.dtype, group))
        say(f"{arguments.write.resolve()}: features of {len(images)} images")


def make_folders(run: Run, arguments: argparse.Namespace, group: Group) -> None:
    """Checkpoints are the first process's, features are written on every machine."""
    if run.optimizer and group.first:
        make_folder(arguments.out)
    if arguments.write and group.local_rank == 0:
        make_folder(arguments.write)


def check_size(arguments: argparse.Namespace, frozen: nn.Module) -> None:
    """The small image should be whole cells, as many as the upsampler needs."""
    if arguments.size % frozen.multiple:
        raise TrainingError(
            f"--size {arguments.size}: should be a multiple of {frozen.multiple}, the stride of {frozen.name}"
        )
    cells = dense.least_cells(arguments.upsampler)
    if arguments.size < cells * frozen.multiple:
        raise TrainingError(f"--size {arguments.size}: should be at least {cells * frozen.multiple} for {arguments.upsampler}")
    if arguments.upsampler == dense.WRC_HEAD and arguments.batch_size == 1 and arguments.size == frozen.multiple:
        raise TrainingError(
            f"--batch-size 1: should be at least 2 for {dense.WRC_HEAD} at --size {arguments.size}: one cell has no statistics"
        )


def find(path: Path | None, group: Group) -> Folder | None:
    """The images of a folder, each of them read once: a bad one is found now, not in the middle of a run."""
    if path is None:
        return None
    images = group.together(lambda: folder(path))
    check_same([each.name for each in images.paths], path, group)
    group.together(lambda: list(look_at_share(images.paths, look_at, f"reading {path.name}", group)))
    return images


def look_at(path: Path) -> str | None:
    """What is wrong with an image, in a line that names it."""
    try:
        open_image(path)
    except TrainingError as error:
        return str(error)


def train_steps(
    run: Run, frozen: nn.Module, images: Folder, arguments: argparse.Namespace, group: Group, say
) -> None:
    weights = Weights(arguments.local, arguments.whole, arguments.consistency, arguments.regulariser)
    teacher = Teacher(frozen, arguments.ratio, arguments.size, arguments.whole_of)
    objective = group.parallel(Objective(run.dense, weights))
    loader = view_loader(images, frozen, run.step, arguments, group)
    precision = torch.autocast(group.device.type, torch.bfloat16, enabled=arguments.precision == "bfloat16")
    bar = tqdm(total=arguments.steps, initial=run.step, desc="training", disable=not group.first, leave=False)
    recent = []
    objective.train()
    batches = iter(loader)
    while run.step < arguments.steps:
        interrupt.check()
        terms = update(objective, teacher, weights, batches, run, precision, arguments, group)
        recent.append(terms)
        run.step += 1
        bar.update()
        bar.set_postfix_str(f"loss {terms[0]:.4f}", refresh=False)
        if run.step % arguments.save_every == 0 or run.step == arguments.steps:
            run.history.append(record(run.step, recent))
            recent = []
            say(describe(run.history[-1], arguments.steps))
            group.together(lambda: save(run) if group.first else None)
    bar.close()


def update(
    objective: nn.Module,
    teacher: Teacher,
    weights: Weights,
    batches,
    run: Run,
    precision: torch.autocast,
    arguments: argparse.Namespace,
    group: Group,
) -> np.ndarray:
    """One step -> the loss and its terms [5], means over its batches and the processes."""
    for parameters in run.optimizer.param_groups:
        parameters["lr"] = learning_rate(arguments.lr, run.step / arguments.steps)
    run.optimizer.zero_grad()
    total = 0
    for number in range(arguments.accumulate):
        views = View(*(part.to(group.device) for part in next(batches)))
        # Whatever a layer draws depends on the batch alone: a resumed run draws the same, and so do two processes.
        batch = (run.step * arguments.accumulate + number) * group.size + group.rank
        torch.manual_seed(np.random.SeedSequence((arguments.seed, batch)).generate_state(1).item())
        last = number == arguments.accumulate - 1
        with contextlib.nullcontext() if last or group.size == 1 else objective.no_sync():
            with precision:
                loss, terms = objective(teacher(views, weights))
            (loss / arguments.accumulate).backward()
        total = total + torch.cat([loss.detach()[None], terms])
    total = (group.sum(total) / (group.size * arguments.accumulate)).cpu().numpy()
    if not math.isfinite(total[0]):
        group.fail(f"the loss is {total[0]} in step {run.step + 1}; a smaller --lr may help")
    run.optimizer.step()
    return total


def view_loader(images: Folder, frozen: nn.Module, first: int, arguments: argparse.Namespace, group: Group) -> DataLoader:
    side = arguments.ratio * arguments.size
    cells = (side // frozen.stride, arguments.size // frozen.stride)
    views = Views(images, side, cells, arguments.crops, arguments.seed)
    shares = Shares(first, arguments.steps, arguments.accumulate, arguments.batch_size, group.rank, group.size)
    return DataLoader(
        views,
        batch_sampler=shares,
        num_workers=arguments.workers,
        worker_init_fn=leave_interrupt_to_the_parent if arguments.workers else None,
        pin_memory=group.device.type == "cuda",
    )


def record(step: int, recent: list[np.ndarray]) -> dict[str, Any]:
    """The steps since the last record as metrics.json has them."""
    means = np.mean(recent, axis=0, dtype=np.float64).tolist()
    return {"step": step, **dict(zip(("loss", *Weights._fields), means))}


def describe(entry: dict[str, Any], steps: int) -> str:
    terms = ", ".join(f"{name} {entry[name]:.4f}" for name in Weights._fields)
    return f"step {entry['step']}/{steps}: loss {entry['loss']:.4f} ({terms})"


def save(run: Run) -> None:
    out = Path(run.arguments["out"])
    checkpoint.save(out / checkpoint.LAST, run.state(), keep=out / checkpoint.PREVIOUS, format=FORMAT)
    write_metrics(out / "metrics.json", run.arguments, run.history, "steps")


def tell_scores(
    made: dense.Dense, frozen: nn.Module, images: Folder, arguments: argparse.Namespace, group: Group, say
) -> None:
    """The held-out consistency of what was trained, and of bilinear: of pictures as large as in training."""
    names = dict.fromkeys(("bilinear", arguments.upsampler))
    for name in names:
        each = made if name == arguments.upsampler else dense.make(name, frozen.channels, arguments.ratio)
        pictures = (image[None].to(group.device) for _, image in images)
        found = (consistency.targets(frozen, picture, arguments.size, arguments.ratio) for picture in pictures)
        with torch.no_grad():
            scores = consistency.score(each.eval(), found)
        say(f"held out, {name}: cosine {scores['cosine']:.4f}, MSE {scores['mse']:.4f}")
