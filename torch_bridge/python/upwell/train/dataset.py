"""Datasets: random crops to train on, whole images to validate on.

What a crop is depends on the seed, the epoch and its index alone, so workers and resuming do not change it.
"""

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from upwell.train.data import Pair, read_image, read_mask


def to_tensor(pixels: np.ndarray) -> Tensor:
    """[H, W, 3] uint8 -> [3, H, W] float32 in 0 to 1."""
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)) / np.float32(255))


def to_tensors(image: np.ndarray, mask: np.ndarray) -> tuple[Tensor, Tensor]:
    """image [H, W, 3] uint8, mask [H, W] -> [3, H, W] float32 in 0 to 1, [H, W] int64."""
    return to_tensor(image), torch.from_numpy(mask)


class WholeImages(Dataset):
    def __init__(self, pairs: list[Pair]):
        self.pairs = pairs

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """[3, H, W], [H, W] of the image's own size."""
        pair = self.pairs[index]
        return to_tensors(read_image(pair.image), read_mask(pair.mask))


class RandomCrops(Dataset):
    def __init__(self, pairs: list[Pair], crop: int, ignore: int, seed: int, epoch: int):
        self.pairs = pairs
        self.crop = crop
        self.ignore = ignore
        self.start = (seed, epoch)

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """[3, crop, crop], [crop, crop]; beyond a smaller image its edge goes on, ignored."""
        random = np.random.default_rng((*self.start, index))
        image, mask = read_image(self.pairs[index].image), read_mask(self.pairs[index].mask)
        missing = [(0, max(self.crop - length, 0)) for length in mask.shape]
        image = np.pad(image, (*missing, (0, 0)), mode="edge")
        mask = np.pad(mask, missing, constant_values=self.ignore)
        top, left = (random.integers(length - self.crop + 1) for length in mask.shape)
        window = np.s_[top : top + self.crop, left : left + self.crop]
        flip = np.s_[:, :: random.choice([-1, 1])]
        return to_tensors(image[window][flip], np.ascontiguousarray(mask[window][flip]))
