"""Training on random crops; the seed decides all of them, so every method sees the same."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Adam
from torch.optim.lr_scheduler import OneCycleLR
from tqdm import tqdm

from wrc_demo.degrade import Example
from wrc_demo.model import TITLES

BATCH = 8
CROP = 96  # px per side, about
LEARNING_RATE = 1e-2


@dataclass
class History:
    """What training left: nothing for a method without parameters."""

    losses: list[float] = field(default_factory=list)  # mean squared error of every step
    seconds: list[float] = field(default_factory=list)  # of every step: forward, backward and update


def train(name: str, model: nn.Module, examples: list[Example], steps: int, seed: int) -> History:
    """Train the model in place."""
    history = History()
    parameters = list(model.parameters())
    if not parameters:
        return history
    optimiser = Adam(parameters, LEARNING_RATE)
    schedule = OneCycleLR(optimiser, LEARNING_RATE, total_steps=steps + 1)
    with tqdm(batches(examples, steps, seed), f"training {TITLES[name]:>22}", steps, unit="step") as bar:
        for truth, low in bar:
            start = time.perf_counter()
            loss = (model(low) - truth).square().mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            history.seconds.append(time.perf_counter() - start)
            schedule.step()
            history.losses.append(loss.item())
            bar.set_postfix_str(f"PSNR {-10 * np.log10(np.mean(history.losses[-20:])):.2f} dB", refresh=False)
    return history


def batches(examples: list[Example], steps: int, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Truth and samples of BATCH crops a step, mirrored and turned at random."""
    random = np.random.default_rng(seed)
    for _ in range(steps):
        crops = [_crop(examples[random.integers(len(examples))], random) for _ in range(BATCH)]
        yield torch.cat([crop.truth for crop in crops]), torch.cat([crop.low for crop in crops])


def _crop(example: Example, random: np.random.Generator) -> Example:
    size = CROP // example.scale
    height, width = example.low.shape[2:]
    return example.crop(random.integers(height - size + 1), random.integers(width - size + 1), size)
