"""Projected gradient descent (arXiv 1706.06083): which input, close to a given one, a model restores worst."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

EPSILON = 8 / 255  # how far any value of the input may be moved, as in the paper
STEP = 0.01  # by which each value moves at a time, as in the restoration code that the paper's authors publish


def attack(
    model: Callable[[Tensor], Tensor], input: Tensor, truth: Tensor, counts: Iterable[int], generator: torch.Generator
) -> dict[int, Tensor]:
    """input [N, C, H, W], in 0 .. 1, and what the model should make of it, in 0 .. 1 -> by counts of steps, the inputs
    after so many of them: at most EPSILON from the given one, and in 0 .. 1.

    It starts from a uniformly random one of these and climbs the squared error of what is made, cut to 0 .. 1, which
    is what PSNR measures."""
    counts = set(counts)
    lowest, highest = (input - EPSILON).clamp_min(0), (input + EPSILON).clamp_max(1)
    moved = input + EPSILON * (2 * torch.rand(input.shape, generator=generator) - 1)
    moved = torch.clamp(moved, lowest, highest)
    reached = {}
    for count in range(1, max(counts, default=0) + 1):
        moved.requires_grad_()
        error = (model(moved).clamp(0, 1) - truth).square().sum()
        (gradient,) = torch.autograd.grad(error, moved)
        moved = torch.clamp(moved.detach() + STEP * gradient.sign(), lowest, highest)
        if count in counts:
            reached[count] = moved
    return reached
