"""One epoch of training, and one pass over the validation images."""

import math
import signal
from argparse import Namespace
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, Subset
from torch.utils.data.distributed import DistributedSampler
from tqdm import tqdm

from upwell.train import interrupt
from upwell.train.data import Pair
from upwell.train.dataset import RandomCrops, WholeImages
from upwell.train.distributed import Group
from upwell.train.metrics import Scores

WARM_UP = 0.03  # of all steps: the learning rate rises linearly, then falls as (1 - progress)^POWER
POWER = 0.9


class Sample(NamedTuple):
    """A validation image [H, W, 3] in 0 to 1, its truth and its prediction [H, W]."""

    image: np.ndarray
    truth: np.ndarray
    predicted: np.ndarray


def learning_rate(peak: float, progress: float) -> float:
    """After a fraction 0 <= progress < 1 of the steps; of nothing else, so a checkpoint need not keep it."""
    return peak * min((progress + 1e-3) / WARM_UP, (1 - progress) ** POWER)


def joined_loss(logits: Tensor, mask: Tensor, ignore: int, group: Group) -> tuple[Tensor, Tensor]:
    """logits [N, classes, H, W], mask [N, H, W] -> the loss to differentiate, all processes' valid pixels.

    DDP takes the mean of the gradients over the processes. With the pixels of all of them in the denominator
    and their number in front, that mean is the gradient of one process on the joined batch.
    """
    total = F.cross_entropy(logits, mask, ignore_index=ignore, reduction="sum")
    valid = group.sum((mask != ignore).sum())
    return group.size * total / valid.clamp_min(1), valid


def train_epoch(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    pairs: list[Pair],
    arguments: Namespace,
    group: Group,
    epoch: int,
) -> float:
    """Mean loss over the valid pixels."""
    # Whatever a layer draws depends on the epoch alone, not on what ran before: a resumed run draws the same.
    torch.manual_seed(np.random.SeedSequence((arguments.seed, epoch, group.rank)).generate_state(1).item())
    loader = crop_loader(pairs, arguments, group, epoch)
    bar = tqdm(loader, f"epoch {epoch + 1}/{arguments.epochs}", disable=not group.first, leave=False)
    model.train()
    total, count = 0.0, 0
    for step, (image, mask) in enumerate(bar):
        interrupt.check()
        for parameters in optimizer.param_groups:
            progress = (epoch + step / len(loader)) / arguments.epochs
            parameters["lr"] = learning_rate(arguments.lr, progress)
        optimizer.zero_grad()
        loss, valid = joined_loss(
            model(image.to(group.device)), mask.to(group.device), arguments.ignore, group
        )
        loss.backward()
        joined = group.sum(loss.detach()).item() / group.size
        if not math.isfinite(joined):
            group.fail(f"the loss is {joined} in epoch {epoch + 1}; a smaller --lr may help")
        optimizer.step()
        bar.set_postfix(loss=f"{joined:.3f}")
        total, count = total + joined * valid.item(), count + valid.item()
    return total / max(count, 1)


def crop_loader(pairs: list[Pair], arguments: Namespace, group: Group, epoch: int) -> DataLoader:
    """This process's share of the epoch's crops, as many batches as every other's."""
    crops = RandomCrops(pairs, arguments.crop, arguments.ignore, arguments.seed, epoch)
    sampler = DistributedSampler(crops, group.size, group.rank, seed=arguments.seed)
    sampler.set_epoch(epoch)
    return _loader(crops, arguments, group, batch_size=arguments.batch_size, sampler=sampler)


@torch.no_grad()
def validate(
    model: nn.Module, pairs: list[Pair], arguments: Namespace, group: Group, pictures: int
) -> tuple[Scores, list[Sample]]:
    """Scores over all processes; of this one, the first images as samples."""
    share = Subset(WholeImages(pairs), range(group.rank, len(pairs), group.size))  # no image twice
    scores, samples = Scores(arguments.classes, arguments.ignore), []
    model.eval()
    loader = _loader(share, arguments, group, batch_size=1)
    for image, mask in tqdm(loader, "validation", disable=not group.first, leave=False):
        interrupt.check()
        predicted = model(image.to(group.device)).argmax(1)[0].cpu().numpy()
        scores.add(mask[0].numpy(), predicted)
        if len(samples) < pictures:
            samples.append(Sample(image[0].permute(1, 2, 0).numpy(), mask[0].numpy(), predicted))
    scores.sum_over(group)
    return scores, samples


def _loader(dataset: Dataset, arguments: Namespace, group: Group, **options) -> DataLoader:
    workers = min(arguments.workers, len(dataset))
    return DataLoader(
        dataset,
        num_workers=workers,
        worker_init_fn=leave_interrupt_to_the_parent if workers else None,
        pin_memory=group.device.type == "cuda",
        **options,
    )


def leave_interrupt_to_the_parent(worker: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
