"""Images to train on: those of a folder, or the photographs that scikit-image and scikit-learn carry."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from torch import Tensor

from upwell.train.data import find_images, read_image
from upwell.train.dataset import to_tensor
from upwell.train.errors import TrainingError

TRAIN = ("chelsea", "rocket", "stereo_motorcycle", "flower")
HELD_OUT = ("astronaut", "coffee", "china")
OF_SCIKIT_LEARN = ("china", "flower")


def photographs(names: Sequence[str] | None = None) -> list[tuple[str, Tensor]]:
    """(name, image [3, H, W] in 0 to 1) of the photographs called names: TRAIN, HELD_OUT, or both if None."""
    return [(name, to_tensor(photograph(name))) for name in (names or (*TRAIN, *HELD_OUT))]


def photograph(name: str) -> np.ndarray:
    """[H, W, 3] uint8. Of a stereo pair, the left picture."""
    try:
        if name in OF_SCIKIT_LEARN:
            from sklearn.datasets import load_sample_image

            return load_sample_image(f"{name}.jpg")
        from skimage import data
    except ImportError as error:
        package = "scikit-learn" if name in OF_SCIKIT_LEARN else "scikit-image"
        raise TrainingError(f"the photograph {name} is in {package}: {error}; pip install {package}")
    picture = getattr(data, name)()
    return (picture[0] if isinstance(picture, tuple) else picture)[..., :3]


class Folder(Sequence):
    """The images of a folder in the order of their names, each read when it is asked for."""

    def __init__(self, paths: Sequence[Path]):
        self.paths = list(paths)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[str, Tensor]:
        """Its stem, and the image [3, H, W] in 0 to 1."""
        path = self.paths[index]
        return path.stem, to_tensor(read_image(path))


def folder(path: str | Path) -> Folder:
    """The images in a folder, not searched deeper. TrainingError of one line where there are none, or two of one stem."""
    return Folder(list(find_images(Path(path), "so one file of features").values()))
