"""The colour photographs that scikit-image carries, some to train on and others to score on."""

from dataclasses import dataclass

import numpy as np
import torch
from skimage import data
from torch import Tensor

TRAIN = ("chelsea", "rocket", "stereo_motorcycle")
TEST = ("astronaut", "coffee")
# Of the stereo pair only the left picture: the right one shows the same room.


@dataclass
class Photograph:
    name: str
    pixels: Tensor  # 1, 3, H, W, in 0 .. 1


def load(name: str, multiple: int) -> Photograph:
    """One photograph, its sides cut to a multiple of some pixels."""
    picture = getattr(data, name)()
    picture = picture[0] if isinstance(picture, tuple) else picture
    height, width = (length // multiple * multiple for length in picture.shape[:2])
    pixels = np.ascontiguousarray(picture[:height, :width, :3].transpose(2, 0, 1)).astype(np.float32) / 255
    return Photograph(name, torch.from_numpy(pixels)[None])


def psnr(made: Tensor, truth: Tensor) -> float:
    """Peak signal-to-noise ratio in dB of values cut to 0 .. 1."""
    return -10 * (made.clamp(0, 1) - truth).double().square().mean().log10().item()


def load_all(names: tuple[str, ...], multiple: int) -> list[Photograph]:
    return [load(name, multiple) for name in names]
