"""The segmentation model: encoder, and a decoder that upsamples by 2 through the chosen upsampler alone."""

import torch
from torch import Tensor, nn

from upwell.nn.make import UPSAMPLERS, make
from upwell.nn.pad import pad_to
from upwell.train.encoder import build_encoder, convolution

WIDTH = 64  # channels of the decoder
STEM = 16  # channels of the full-resolution guide


class Level(nn.Module):
    """One step of the decoder: up to the resolution of an encoder's map, and joined with it."""

    def __init__(self, upsampler: str, channels: int):
        super().__init__()
        self.upsample = make(upsampler, WIDTH, channels, 2)
        self.lateral = nn.Conv2d(channels, WIDTH, 1)
        self.join = convolution(WIDTH, WIDTH)

    def forward(self, guide: Tensor, x: Tensor) -> Tensor:
        """guide [N, channels, 2 h, 2 w], x [N, WIDTH, h, w] -> [N, WIDTH, 2 h, 2 w]."""
        return self.join(self.upsample(guide, x) + self.lateral(guide))


class SegmentationModel(nn.Module):
    """Logits of the image's own size, whatever it is.

    The image is extended by its last row and column to a multiple of the encoder's stride, so that every step
    is by 2 exactly, and to twice the stride at least where the upsampler takes no map one pixel wide; the logits are
    cut back. The last step upsamples the logits, guided by a stem at full resolution, which is joined as every guide
    is: no upsampler leaves a parameter unused.
    """

    def __init__(self, classes: int, upsampler: str, encoder: str, pretrained: bool = True):
        super().__init__()
        self.encoder = build_encoder(encoder, pretrained)
        channels = self.encoder.channels
        self.stride = 2 ** len(channels)
        self.cells = UPSAMPLERS[upsampler].cells
        self.stem = convolution(3, STEM)
        self.neck = nn.Conv2d(channels[-1], WIDTH, 1)
        self.levels = nn.ModuleList(Level(upsampler, c) for c in channels[-2::-1])
        self.head = nn.Conv2d(WIDTH, classes, 1)
        self.upsample = make(upsampler, classes, STEM, 2)
        self.lateral = nn.Conv2d(STEM, classes, 1)

    def forward(self, image: Tensor) -> Tensor:
        """[N, 3, H, W] in 0 to 1 -> [N, classes, H, W]."""
        H, W = image.shape[2:]
        padded = (max(-(-length // self.stride), self.cells) * self.stride for length in (H, W))
        image = pad_to(2 * image - 1, torch.Size(padded))
        features = self.encoder(image)
        x = self.neck(features[-1])
        for level, guide in zip(self.levels, features[-2::-1]):
            x = level(guide, x)
        stem = self.stem(image)
        return (self.upsample(stem, self.head(x)) + self.lateral(stem))[:, :, :H, :W]
