"""Pictures with a truth for each pixel, to train linear probes on: what wheels carry, and folders of one's own."""

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from upwell.densify.correspondence import motorcycle
from upwell.nn.check import check, check_choice
from upwell.train.data import find_pairs, read_image, read_mask
from upwell.train.dataset import to_tensor

IGNORED = -1
TRAIN_SHARE = 4 / 7  # of the columns, where a set is one picture: the left


class Labelled(NamedTuple):
    """A picture, its truth, and which of its pixels are there to train on; the others are scored."""

    name: str
    picture: Tensor  # [1, 3, H, W] in 0 .. 1
    truth: Tensor  # [H, W]: int64 classes, IGNORED: none; or float32 values, not finite: unknown
    trained: Tensor  # [H, W] bool


def labelled(name: str, picture: Tensor, truth: Tensor, multiple: int, trained: bool | None = None) -> Labelled:
    """Both cut to a multiple of some pixels. trained: all of it or nothing; None: the left part."""
    check(
        picture.shape[2:] == truth.shape,
        f"{name}: mask should be {_size(picture.shape[2:])} like its picture but is {_size(truth.shape)}",
    )
    H, W = (length // multiple * multiple for length in truth.shape)
    least = f"{multiple} x {multiple}"
    check(min(H, W) > 0, f"{name}: picture should have at least {least} pixels but has {_size(truth.shape)}")
    part = torch.zeros(H, W, dtype=torch.bool)
    part[:, : round(TRAIN_SHARE * W) if trained is None else W * trained] = True
    return Labelled(name, picture[:, :, :H, :W], truth[:H, :W], part)


def horse(multiple: int = 1) -> list[Labelled]:
    """scikit-image's silhouette of a horse: what is black in the picture."""
    from skimage import data  # whoever has pictures of their own does without it

    silhouette = torch.from_numpy(~data.horse())
    picture = (~silhouette).float().expand(1, 3, *silhouette.shape)
    return [labelled("horse", picture, silhouette.long(), multiple)]


def nuclei(multiple: int = 1) -> list[Labelled]:
    """The 512 x 512 fluorescence picture of cell nuclei in the package stardist, and which pixels are nuclei."""
    spec = find_spec("stardist")
    check(spec is not None, "labelled: nuclei takes the package stardist; pip install --no-deps stardist")
    from skimage.io import imread

    folder = Path(spec.submodule_search_locations[0]) / "data" / "images"
    picture, cells = (imread(folder / f"{name}.tif") for name in ("img2d", "mask2d"))
    grey = torch.from_numpy(picture.astype(np.float32) / picture.max())
    return [labelled("nuclei", grey.expand(1, 3, *grey.shape), torch.from_numpy((cells > 0).astype(np.int64)), multiple)]


def disparity(multiple: int = 1) -> list[Labelled]:
    """The Middlebury motorcycle's left picture and disparity in px: a probe of it is a linear regression."""
    pair = motorcycle(multiple)
    return [labelled("disparity", pair.left, pair.disparity, multiple)]


SETS: dict[str, Callable[[int], list[Labelled]]] = {"horse": horse, "nuclei": nuclei, "disparity": disparity}


def available() -> list[str]:
    """Names of the sets whose packages are installed."""
    return [name for name in SETS if find_spec("stardist" if name == "nuclei" else "skimage")]


def named(name: str, multiple: int = 1) -> list[Labelled]:
    check_choice("labelled", "set", name, SETS)
    return SETS[name](multiple)


def folder(images: str | Path, masks: str | Path, multiple: int = 1, ignore: int = 255) -> list[Labelled]:
    """Every image with the index mask of the same stem, as `upwell train` reads them; every second one trains. One alone
    is cut.

    Raises:
        upwell.train.errors.TrainingError: of a file that is missing or cannot be read.
        ValueError: of a mask of another size than its picture.
    """
    pairs = find_pairs(Path(images), Path(masks))
    found = []
    for i, pair in enumerate(pairs):
        picture = to_tensor(read_image(pair.image))[None]
        truth = torch.from_numpy(read_mask(pair.mask))
        truth = truth.masked_fill(truth == ignore, IGNORED)
        found.append(labelled(str(pair.mask), picture, truth, multiple, i % 2 == 0 if len(pairs) > 1 else None))
    return found


def _size(shape: torch.Size) -> str:
    return " x ".join(map(str, shape))
