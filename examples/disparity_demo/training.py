"""Training on random crops of one part; the seed decides all of them, so every method sees the same."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.optim import Adam
from torch.optim.lr_scheduler import OneCycleLR
from tqdm import tqdm

from disparity_demo.model import TITLES, DisparityUpsampler
from disparity_demo.scene import Part

# Chosen on the right third of the training part, trained on the rest of it; the held-out part had no say.
CROP = 176  # px per side, about
LEARNING_RATE = 1e-2
RECOLOUR = 0.1  # spread of the logarithm of a channel's gamma
HARD = 1.0  # px: a pixel that bilinear interpolation misses by more is hard
HARD_WEIGHT = 5.0  # extra weight of hard pixels in the loss


class Step(NamedTuple):
    loss: float  # px
    seconds: float  # forward, backward and update


@dataclass
class History:
    """What training left: nothing for a method without parameters."""

    losses: list[float] = field(default_factory=list)  # of every step
    seconds: list[float] = field(default_factory=list)


def train(name: str, model: DisparityUpsampler, part: Part, steps: int, seed: int) -> History:
    """Train the model in place."""
    history = History()
    if not list(model.parameters()):
        return history
    with tqdm(optimise(model, part, steps, seed), f"training {TITLES[name]:>8}", steps, unit="step") as bar:
        for loss, seconds in bar:
            history.losses.append(loss)
            history.seconds.append(seconds)
            bar.set_postfix_str(f"loss {np.mean(history.losses[-20:]):.2f} px")
    return history


def optimise(model: DisparityUpsampler, part: Part, steps: int, seed: int, crop: int = CROP) -> Iterator[Step]:
    """Train the model in place on crops of about crop x crop px, a step at a time."""
    optimiser = Adam(model.parameters(), LEARNING_RATE)
    schedule = OneCycleLR(optimiser, LEARNING_RATE, total_steps=steps + 1)
    for example in random_crops(part, steps, seed, crop):
        start = time.perf_counter()
        loss = weighted_error(model(example.image, example.low), example)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        yield Step(loss.item(), time.perf_counter() - start)


def random_crops(part: Part, steps: int, seed: int, crop: int = CROP) -> Iterator[Part]:
    """A square crop per step, about crop px per side, from any pixel on, varied at random."""
    random = np.random.default_rng(seed)
    H, W = part.truth.shape[2:]
    size = min(max(crop // part.ratio, 4), *part.low.shape[2:]) * part.ratio
    for _ in range(steps):
        yield vary(part.crop(random.integers(H - size + 1), random.integers(W - size + 1), size), random)


def vary(part: Part, random: np.random.Generator) -> Part:
    """The part mirrored, turned and recoloured: one picture shows too few colours to learn from them alone."""
    axes = [axis for axis in (2, 3) if random.random() < 0.5]
    order = (3, 2) if random.random() < 0.5 else (2, 3)
    gamma = np.exp(RECOLOUR * random.standard_normal((1, 3, 1, 1))).astype(np.float32)
    image = part.image[:, random.permutation(3)] ** torch.from_numpy(gamma)
    maps = (image, part.truth, part.valid, part.near_edge, part.low)
    return Part(*(each.flip(axes).permute(0, 1, *order).contiguous() for each in maps), part.ratio)


def weighted_error(upsampled: Tensor, part: Part) -> Tensor:
    """Mean absolute error over the pixels whose truth is known, the hard ones with more weight.

    Nearly everywhere plain interpolation is right; unweighted, those pixels teach every method to interpolate before
    the others teach it to look.
    """
    plain = F.interpolate(part.low, upsampled.shape[2:], mode="bilinear")
    hard = (plain - part.truth).abs() > HARD
    weight = part.valid * (1 + HARD_WEIGHT * hard)
    return (weight * (upsampled - part.truth).abs()).sum() / weight.sum()
