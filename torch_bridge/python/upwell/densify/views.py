"""What a network is trained on: squares of images at the high resolution, with where they are cropped and how recoloured.

A view depends on the seed and its number alone, so workers, processes and resuming do not change it.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import Dataset, Sampler

ORDER, CONTENT = 0, 1  # streams of random numbers
SHADES = 0.4  # brightness, contrast and saturation are multiplied by up to 1 ± this,
CAST = 0.1  # each channel by up to 1 ± this


class View(NamedTuple):
    source: Tensor  # [3, S, S] in 0 to 1, S = ratio size
    corners: Tensor  # [crops, 2], first row and column of each crop in cells of the source
    colours: Tensor  # [6], see recolour


class Views(Dataset):
    """View k, for any k: every image once in each pass, in another order.

    Args:
        images: (name, image [3, H, W] in 0 to 1) each.
        side: S, px.
        cells: of the source and of a crop, per side.
        crops: of a view.
    """

    def __init__(self, images: Sequence, side: int, cells: tuple[int, int], crops: int, seed: int):
        self.images = images
        self.side = side
        self.cells = cells
        self.crops = crops
        self.seed = seed

    def __getitem__(self, k: int) -> View:
        turn, place = divmod(k, len(self.images))
        order = np.random.default_rng((self.seed, ORDER, turn)).permutation(len(self.images))
        random = np.random.default_rng((self.seed, CONTENT, k))
        _, image = self.images[int(order[place])]
        source = _square(image, self.side, random)
        whole, crop = self.cells
        corners = torch.from_numpy(random.integers(whole - crop + 1, size=(self.crops, 2)))
        shades, cast = random.uniform(-SHADES, SHADES, 3), random.uniform(-CAST, CAST, 3)
        return View(source, corners, torch.from_numpy(1 + np.concatenate([shades, cast])).float())


def _square(image: Tensor, side: int, random: np.random.Generator) -> Tensor:
    """A square from anywhere in the image [3, H, W], as large as it allows down to one pixel each -> [3, side, side]."""
    H, W = image.shape[1:]
    least = min(side, H, W)
    length = int(random.integers(least, min(H, W) + 1))
    top, left = (int(random.integers(n - length + 1)) for n in (H, W))
    square = image[:, top : top + length, left : left + length]
    if random.integers(2):
        square = square.flip(2)
    return resize(square, (side, side))


def resize(image: Tensor, size: Sequence[int]) -> Tensor:
    """image [3, H, W] -> [3, *size], without aliases."""
    if list(image.shape[1:]) == list(size):
        return image.contiguous()
    return F.interpolate(image[None], tuple(size), mode="bilinear", antialias=True, align_corners=False)[0].clamp(0, 1)


def recolour(image: Tensor, colours: Tensor) -> Tensor:
    """image [N, 3, H, W], its brightness, contrast, saturation and channels multiplied by colours [N, 6]."""
    brightness, contrast, saturation = colours[:, :3, None, None, None].unbind(1)
    image = image * brightness * colours[:, 3:, None, None]
    image = torch.lerp(image.mean((1, 2, 3), keepdim=True), image, contrast)
    return torch.lerp(image.mean(1, keepdim=True), image, saturation).clamp(0, 1)


class Shares(Sampler):
    """The numbers of one process's views, in batches, from a step on: a step has `batches` of them for all processes.

    Two processes take together what one takes with twice as many batches a step.
    """

    def __init__(self, first: int, last: int, batches: int, batch_size: int, rank: int, size: int):
        self.steps = range(first, last)
        self.batches, self.batch_size, self.rank, self.size = batches, batch_size, rank, size

    def __len__(self) -> int:
        return len(self.steps) * self.batches

    def __iter__(self) -> Iterator[list[int]]:
        for step in self.steps:
            for batch in range(self.batches):
                start = ((step * self.batches + batch) * self.size + self.rank) * self.batch_size
                yield list(range(start, start + self.batch_size))
