"""Training on random crops of one part; the seed decides all of them, so every method sees the same."""

from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.optim import Adam
from torch.optim.lr_scheduler import OneCycleLR
from tqdm import tqdm

from disparity_demo.model import TITLES, DisparityUpsampler
from disparity_demo.scene import Part

BATCH = 2
CROP = 96  # px per side, about
LEARNING_RATE = 2e-3
HARD = 1.0  # px: a pixel that bilinear interpolation misses by more is hard
HARD_WEIGHT = 20.0  # extra weight of hard pixels in the loss


def train(name: str, model: DisparityUpsampler, part: Part, steps: int, seed: int) -> list[float]:
    """Train the model in place; the losses, in px, one per step. A model without parameters has none."""
    if not list(model.parameters()):
        return []
    optimiser = Adam(model.parameters(), LEARNING_RATE)
    schedule = OneCycleLR(optimiser, LEARNING_RATE, total_steps=steps + 1)
    losses = []
    with tqdm(random_crops(part, steps, seed), f"training {TITLES[name]:>8}", steps, unit="step") as bar:
        for crops in bar:
            loss = torch.stack([weighted_error(model(crop.image, crop.low), crop) for crop in crops]).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            losses.append(loss.item())
            bar.set_postfix_str(f"loss {np.mean(losses[-20:]):.2f} px")
    return losses


def random_crops(part: Part, steps: int, seed: int) -> Iterator[list[Part]]:
    """A batch of square crops per step, each flipped at random."""
    random = np.random.default_rng(seed)
    h, w = part.low.shape[2:]
    cells = min(max(CROP // part.ratio, 4), h, w)
    for _ in range(steps):
        corners = [(random.integers(h - cells + 1), random.integers(w - cells + 1)) for _ in range(BATCH)]
        yield [flip(part.crop(row, column, cells), random) for row, column in corners]


def flip(part: Part, random: np.random.Generator) -> Part:
    """The part, or its mirror image, or upside down."""
    axes = [axis for axis in (2, 3) if random.random() < 0.5]
    maps = (part.image, part.truth, part.valid, part.near_edge, part.low)
    return Part(*(each.flip(axes) for each in maps), part.ratio)


def weighted_error(upsampled: Tensor, part: Part) -> Tensor:
    """Mean absolute error over the pixels whose truth is known, the hard ones with more weight.

    Nearly everywhere plain interpolation is right; unweighted, those pixels teach every method to interpolate before
    the others teach it to look.
    """
    plain = F.interpolate(part.low, upsampled.shape[2:], mode="bilinear")
    hard = (plain - part.truth).abs() > HARD
    weight = part.valid * (1 + HARD_WEIGHT * hard)
    return (weight * (upsampled - part.truth).abs()).sum() / weight.sum()
