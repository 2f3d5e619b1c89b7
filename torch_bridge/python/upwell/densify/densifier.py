"""A backbone and what makes its features dense, as one module; and the files of a trained one."""

import zlib
from pathlib import Path

import torch
from torch import Tensor, nn

from upwell.densify import backbone, dense
from upwell.densify.dense import least_cells
from upwell.nn.pad import pad_to
from upwell.train import checkpoint
from upwell.train.errors import TrainingError

FORMAT = "densify 1"  # of what a checkpoint holds
COMMAND = "upwell densify"


class Densifier(nn.Module):
    """Dense features of images of any size, which are extended by their last row and column to a multiple of the stride."""

    def __init__(self, backbone: nn.Module, dense: nn.Module):
        super().__init__()
        self.backbone = backbone
        self.dense = dense
        self.cells = least_cells(dense.upsampler)

    def forward(self, image: Tensor) -> Tensor:
        """image [N, 3, H, W] in 0 to 1 -> [N, channels, ratio ceil(H / stride), ratio ceil(W / stride)]."""
        multiple = self.backbone.multiple
        size = torch.Size(max(-(-length // multiple), self.cells) * multiple for length in image.shape[2:])
        image = pad_to(image, size)
        return self.dense(image, self.backbone(image))


def load(path: str | Path, weights: str | Path | None = None) -> Densifier:
    """What `upwell densify` trained, on the CPU, in eval mode. TrainingError of one line where it cannot be.

    Args:
        path: a checkpoint: last.pt of a run.
        weights: of the backbone; None: where they were when it was trained.
    """
    path = Path(path)
    state = checkpoint.load(path, FORMAT, COMMAND)
    options = state["arguments"]
    frozen = backbone.make(options["backbone"], weights or options["weights"], options["layer"])
    check_backbone(path, state, frozen)
    made = dense.make(options["upsampler"], frozen.channels, options["ratio"])
    try:
        made.load_state_dict(state["model"])
    except RuntimeError:
        raise TrainingError(f"{path}: does not fit {options['upsampler']}")
    return Densifier(frozen, made).eval()


def check_backbone(path: Path, state: dict, frozen: nn.Module) -> None:
    """TrainingError unless the checkpoint is of features of this very backbone."""
    if state["channels"] != frozen.channels:
        raise TrainingError(
            f"{path}: is for features of {state['channels']} channels, but those of {frozen.name} have {frozen.channels}"
        )
    if state["backbone"] != fingerprint(frozen):
        raise TrainingError(f"{path}: was trained over other weights of {frozen.name}")


def fingerprint(module: nn.Module) -> int:
    """Of its parameters and buffers, by name."""
    value = 0
    for name, tensor in sorted(module.state_dict().items()):
        value = zlib.crc32(tensor.cpu().contiguous().view(-1).view(torch.uint8).numpy(), zlib.crc32(name.encode(), value))
    return value
