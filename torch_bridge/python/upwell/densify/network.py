"""What a library's model is made into: a module from a normalised image to one map of features."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from torch import Tensor, nn

from upwell.train.errors import TrainingError

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))  # mean and standard deviation of its pixels


class Network(NamedTuple):
    module: nn.Module  # [N, 3, H, W], normalised -> [N, C, h, w]
    mean: Sequence[float] = IMAGENET[0]
    std: Sequence[float] = IMAGENET[1]
    side: int | None = None  # px of an image that it takes; None: whatever is common


class Taken(nn.Module):
    """One map of a network that has more, or has it in another form."""

    def __init__(self, network: nn.Module, take: Callable[[nn.Module, Tensor], Tensor]):
        super().__init__()
        self.network = network
        self.take = take

    def forward(self, image: Tensor) -> Tensor:
        return self.take(self.network, image)


def index_of(layer: str | int | None, name: str) -> int:
    """--layer as the index of a level, -1 if None."""
    try:
        return -1 if layer is None else int(layer)
    except ValueError:
        raise TrainingError(f"--layer {layer}: should be the index of a level of {name}")
