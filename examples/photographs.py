"""The colour photographs that scikit-image carries, some to train on and others to score on."""

from dataclasses import dataclass

from torch import Tensor

from upwell.densify.images import photograph
from upwell.train.dataset import to_tensor

TRAIN = ("chelsea", "rocket", "stereo_motorcycle")
TEST = ("astronaut", "coffee")
# Of the stereo pair only the left picture: the right one shows the same room.


@dataclass
class Photograph:
    name: str
    pixels: Tensor  # 1, 3, H, W, in 0 .. 1


def load(name: str, multiple: int) -> Photograph:
    """One photograph, its sides cut to a multiple of some pixels."""
    pixels = to_tensor(photograph(name))
    height, width = (length // multiple * multiple for length in pixels.shape[1:])
    return Photograph(name, pixels[None, :, :height, :width].contiguous())


def psnr(made: Tensor, truth: Tensor) -> float:
    """Peak signal-to-noise ratio in dB of values cut to 0 .. 1."""
    return -10 * (made.clamp(0, 1) - truth).double().square().mean().log10().item()


def load_all(names: tuple[str, ...], multiple: int) -> list[Photograph]:
    return [load(name, multiple) for name in names]
