"""Frozen backbones: an image in 0 to 1 to one map of features, whatever library the network is from."""

import difflib
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from upwell.densify import of_timm, of_torchvision
from upwell.densify.network import Network, Taken, index_of
from upwell.nn.check import check
from upwell.train.encoder import LITE0, EfficientNetLite0
from upwell.train.errors import TrainingError

LIBRARIES = {"torchvision": of_torchvision, "timm": of_timm}
PROBE = 224  # px per side of the image that tells channels and stride, where the network does not say what it takes


class Backbone(nn.Module):
    """A network that normalises by itself, in eval mode, without gradients, for good.

    Attributes:
        name: as make() was told.
        channels: of the features.
        stride: pixels of a cell, per side (of a vision transformer, its patch).
        multiple: what the image's height and width should be multiples of.
    """

    def __init__(self, name: str, network: Network):
        super().__init__()
        self.name = name
        self.network = network.module.requires_grad_(False)
        for statistic in ("mean", "std"):
            values = torch.tensor(getattr(network, statistic), dtype=torch.float32).view(3, 1, 1)
            self.register_buffer(statistic, values, persistent=False)
        self.eval()
        self.channels, self.stride = _measure(name, network)
        self.multiple = self.stride

    def train(self, mode: bool = True) -> "Backbone":
        """Stays in eval mode: the statistics of its norms are part of what is frozen."""
        return super().train(False)

    @torch.no_grad()
    def forward(self, image: Tensor) -> Tensor:
        """image [N, 3, H, W] in 0 to 1 -> [N, channels, H / stride, W / stride]. ValueError if not."""
        shape = list(image.shape)
        good = len(shape) == 4 and shape[1] == 3 and all(n > 0 and n % self.multiple == 0 for n in shape[2:])
        wanted = f"[N, 3, H, W], H and W multiples of {self.multiple} for {self.name},"
        check(good, f"Backbone: image should be {wanted} but is {shape}")
        return self.network((image - self.mean) / self.std).to(image.dtype)


def make(name: str, weights: str | Path | None = None, layer: str | int | None = None) -> Backbone:
    """The backbone called name.

    Args:
        name: of a model of torchvision or timm, torchvision's where both have it; "torchvision:" or "timm:" before it says
            whose. "efficientnet-lite0": that of its two packages.
        weights: file of a state_dict. None: what a package or the hub's cache has; nothing is fetched.
        layer: what to take the map of. torchvision: the path of a submodule, such as "features.13"; timm: the index of a
            level or block; efficientnet-lite0: 0 to 4. None: the last.

    Raises:
        TrainingError: of one line, for an unknown name or layer, and weights that are missing, unreadable or another's.
    """
    path = None if weights is None else Path(weights)
    if path and not path.is_file():
        raise TrainingError(f"{path}: {'is no file' if path.exists() else 'No such file'}: weights of {name}")
    library, _, plain = name.rpartition(":")
    return Backbone(name, _find(name, library, plain)(plain, path, layer))


def _find(name: str, library: str, plain: str) -> Callable[..., Network]:
    """What builds the network. Libraries that are not installed are named if they might have had it."""
    if library and library not in LIBRARIES:
        raise TrainingError(f"--backbone {name}: should be of {' or '.join(LIBRARIES)} but is of {library}")
    if plain == LITE0:
        return _lite0
    missing, near = [], []
    for package in [library] if library else LIBRARIES:
        try:
            if LIBRARIES[package].knows(plain):
                return LIBRARIES[package].build
            near += difflib.get_close_matches(plain, LIBRARIES[package].names(), 2)
        except ImportError:
            missing.append(package)
    known = [package for package in ([library] if library else LIBRARIES) if package not in missing]
    parts = [f"no model of {' or '.join(known)}"] if known else []
    parts += [f"similar: {', '.join(near)}"] if near else []
    parts += [f"not installed: pip install {' '.join(missing)}"] if missing else []
    raise TrainingError(f"--backbone {name}: {'; '.join(parts)}")


def _lite0(name: str, path: Path | None, layer: str | int | None) -> Network:
    if path:
        raise TrainingError(f"--weights {path}: {name} has those of its package")
    network = EfficientNetLite0(pretrained=True)
    index, levels = index_of(layer, name), len(network.channels)
    if not -levels <= index < levels:
        raise TrainingError(f"--layer {layer}: should be 0 to {levels - 1} for {name}")
    network.blocks = network.blocks[: network.last[index] + 1]  # deeper ones would want a larger image
    return Network(Taken(network, lambda net, image: net(image)[-1]), (0.5,) * 3, (0.5,) * 3)


@torch.no_grad()
def _measure(name: str, network: Network) -> tuple[int, int]:
    """Channels and stride, as the map of a black image shows them."""
    side = network.side or PROBE
    try:
        features = network.module(torch.zeros(1, 3, side, side))
    except Exception as error:  # a model's own, of what it cannot be used for
        raise TrainingError(f"--backbone {name}: gives no map of features: {str(error).splitlines()[0]}")
    found = list(features.shape) if isinstance(features, Tensor) else type(features).__name__
    if not isinstance(features, Tensor) or len(found) != 4 or found[2] != found[3] or side % found[2]:
        raise TrainingError(f"--backbone {name}: of {side} x {side} pixels gives no map of features but {found}; --layer")
    return found[1], side // found[2]
