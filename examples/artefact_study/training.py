"""Training to remove noise from random crops; the seed decides crops and noise, the same for every model."""

import torch
from torch import Tensor, nn
from torch.optim import Adam
from torch.optim.lr_scheduler import OneCycleLR
from tqdm import trange

from artefact_study.model import TITLES

BATCH = 2
CROP = 128  # px per side


def train(
    name: str, model: nn.Module, pictures: list[Tensor], noise: float, steps: int, seed: int, learning_rate: float = 2e-3
) -> None:
    """Train the model in place; learning_rate: the highest of the schedule."""
    generator = torch.Generator().manual_seed(seed)
    optimiser = Adam(model.parameters(), learning_rate)
    schedule = OneCycleLR(optimiser, learning_rate, total_steps=steps + 1)
    with trange(steps, desc=f"training {TITLES[name]:>26}", unit="step") as bar:
        for _ in bar:
            truth = torch.cat([random_crop(pictures, generator) for _ in range(BATCH)])
            loss = (model(noisy(truth, noise, generator)) - truth).square().mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            bar.set_postfix_str(f"PSNR {-10 * loss.log10().item():.2f} dB", refresh=False)


def noisy(picture: Tensor, noise: float, generator: torch.Generator) -> Tensor:
    """Cut to 0 .. 1, as a file would store it."""
    return (picture + noise * torch.randn(picture.shape, generator=generator)).clamp(0, 1)


def random_crop(pictures: list[Tensor], generator: torch.Generator) -> Tensor:
    def draw(count: int) -> int:
        return int(torch.randint(count, (), generator=generator))

    picture = pictures[draw(len(pictures))]
    row, column = (draw(length - CROP + 1) for length in picture.shape[2:])
    crop = picture[..., row : row + CROP, column : column + CROP]
    return crop.flip(3) if draw(2) else crop
