"""What an upsampler is guided by: the image at the output's size, encoded where the upsampler compares features."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from upwell import ops
from upwell.densify.network import IMAGENET
from upwell.nn.encoder import pool
from upwell.nn.upsampler import Guide as Kind
from upwell.train.encoder import convolution

CHANNELS = 32  # of an encoded guide
FINE = 16  # channels before the output's size is reached
DETAIL = 4  # pixels of the image per pixel of the output and side that an encoder sees at most: what NAF is published with


def bring(image: Tensor, size: Sequence[int]) -> Tensor:
    """image [N, C, H, W] -> [N, C, *size]: the mean of an area where it shrinks, bilinear where it grows."""
    smaller = [min(n, m) for n, m in zip(image.shape[2:], size)]
    image = pool(image, smaller)
    return image if smaller == list(size) else ops.bilinear(image, size)


class Guide(nn.Module):
    """The guide of an upsampler.

    Kind.NONE: nothing but a size. Kind.IMAGE: the image, normalised as those upsamplers are published, of at most DETAIL times
    the output's size: they encode and pool it themselves. Kind.FEATURES: convolutions of that, pooled to the output's size
    between them, where the place of each pixel in its cell may join.
    """

    def __init__(self, kind: Kind, with_place: bool = False):
        super().__init__()
        self.with_place = with_place
        self.kind = kind
        self.channels = CHANNELS if kind is Kind.FEATURES else 3
        if kind is Kind.FEATURES:
            self.fine = nn.Sequential(convolution(3, FINE), convolution(FINE, FINE))
            self.coarse = nn.Sequential(convolution(FINE + 2 * with_place, CHANNELS), nn.Conv2d(CHANNELS, CHANNELS, 3, 1, 1))
        for name, values in zip(("mean", "std"), IMAGENET):
            self.register_buffer(name, torch.tensor(values).view(3, 1, 1), persistent=False)

    def forward(self, image: Tensor, size: Sequence[int], cells: Sequence[int] = ()) -> Tensor:
        """image [N, 3, H, W] in 0 to 1 -> [N, channels, *size]; of Kind.IMAGE, of up to DETAIL times the size. cells: rows
        and columns of the features, for the places."""
        if self.kind is Kind.NONE:
            return image.new_empty(()).expand(len(image), self.channels, *size)
        fine = [max(n, min(m, DETAIL * n)) for n, m in zip(size, image.shape[2:])]
        image = (bring(image, fine) - self.mean) / self.std
        if self.kind is Kind.IMAGE:
            return image
        encoded = pool(self.fine(image), size)
        if self.with_place:
            encoded = torch.cat([encoded, place(size, cells).to(encoded).expand(len(encoded), -1, -1, -1)], 1)
        return self.coarse(encoded)


def place(size: Sequence[int], cells: Sequence[int]) -> Tensor:
    """[2, *size]: how far a pixel's row and column are from the middle of its cell, in cells, -1/2 to 1/2."""
    along = [((torch.arange(n) + 0.5) * (m / n)) % 1 - 0.5 for n, m in zip(size, cells)]
    return torch.stack(torch.meshgrid(*along, indexing="ij"))
