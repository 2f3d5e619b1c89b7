"""A picture with its true disparity, cut into a part to train on and a part to score on.

The pair is cut first and everything else is derived from each part alone, so nothing of the held-out part, not even a
neighbouring pixel, reaches training.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from scipy import ndimage
from skimage import data
from torch import Tensor

TRAIN_SHARE = 4 / 7  # of the columns: the rear wheel and the bench; the front wheel and the shelves are held out
EDGE_JUMP = 2.0  # px of disparity between neighbours that make a depth edge
EDGE_REACH = 8  # px from a depth edge that still count as near it


@dataclass
class Part:
    """A rectangle of the scene. All maps are N = 1; H = ratio h, W = ratio w."""

    image: Tensor  # 1, 3, H, W, in 0 .. 1
    truth: Tensor  # 1, 1, H, W, disparity in px, 0 where it is unknown
    valid: Tensor  # 1, 1, H, W, bool: truth is known
    near_edge: Tensor  # 1, 1, H, W, bool: at most EDGE_REACH px from a depth edge
    low: Tensor  # 1, 1, h, w, disparity in (high-res) px
    ratio: int

    def crop(self, row: int, column: int, size: int) -> "Part":
        """The size x size pixels whose first is (row, column), with a low-res grid that starts there too."""
        window = (..., slice(row, row + size), slice(column, column + size))
        image, truth, valid, near_edge = (each[window] for each in (self.image, self.truth, self.valid, self.near_edge))
        low = torch.from_numpy(downsample(truth[0, 0].numpy(), valid[0, 0].numpy(), self.ratio))
        return Part(image, truth, valid, near_edge, low[None, None], self.ratio)


@dataclass
class Parts:
    whole: np.ndarray  # H, W, 3, the picture, in 0 .. 1
    train: Part
    test: Part

    def __str__(self) -> str:
        ratio, (h, w), (H, W) = self.test.ratio, self.test.low.shape[2:], self.test.truth.shape[2:]
        return (
            f"Middlebury motorcycle, disparity {W} x {H} from {w} x {h} (ratio {ratio}) on the held-out right part; "
            f"training on the left {self.train.truth.shape[3]} columns"
        )


def load(ratio: int) -> Parts:
    """The stereo pair that scikit-image carries: its left picture and disparity, cut to whole low-res pixels."""
    picture, _, disparity = data.stereo_motorcycle()
    H, W = (length // ratio * ratio for length in disparity.shape)
    picture, disparity = picture[:H, :W].astype(np.float32) / 255, disparity[:H, :W]
    cut = round(TRAIN_SHARE * W / ratio) * ratio
    sides = (np.s_[:, :cut], np.s_[:, cut:])
    return Parts(picture, *(prepare(picture[side], disparity[side], ratio) for side in sides))


def prepare(picture: np.ndarray, disparity: np.ndarray, ratio: int) -> Part:
    """picture [H, W, 3], disparity [H, W] (not finite or not positive: unknown) -> everything about this part."""
    valid = np.isfinite(disparity) & (disparity > 0)
    truth = np.where(valid, disparity, 0).astype(np.float32)
    maps = (picture.transpose(2, 0, 1), truth[None], valid[None], near_edge(truth, valid)[None])
    low = downsample(truth, valid, ratio)[None]
    return Part(*(torch.from_numpy(np.ascontiguousarray(each))[None] for each in (*maps, low)), ratio)


def downsample(truth: np.ndarray, valid: np.ndarray, ratio: int) -> np.ndarray:
    """[H, W] -> [h, w]: each cell takes the known disparity nearest to its centre.

    A mean would invent depths between foreground and background. A cell where nothing is known copies the nearest
    cell where something is.
    """
    offset = np.arange(ratio) - (ratio - 1) / 2
    distance = (offset[:, None] ** 2 + offset**2).ravel()
    known = _cells(valid, ratio)
    nearest = np.where(known, distance, np.inf).argmin(-1)
    low = np.take_along_axis(_cells(truth, ratio), nearest[..., None], -1)[..., 0]
    return _fill(low, known.any(-1))


def near_edge(truth: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """[H, W] bool: within EDGE_REACH px of a jump between neighbours, gaps filled with the nearest known disparity."""
    filled = _fill(truth, valid)
    edge = ndimage.maximum_filter(filled, 3) - ndimage.minimum_filter(filled, 3) > EDGE_JUMP
    return ndimage.distance_transform_edt(~edge) <= EDGE_REACH


def _cells(map: np.ndarray, ratio: int) -> np.ndarray:
    """[H, W] -> [h, w, ratio * ratio]"""
    h, w = (length // ratio for length in map.shape)
    return map.reshape(h, ratio, w, ratio).swapaxes(1, 2).reshape(h, w, ratio * ratio)


def _fill(map: np.ndarray, known: np.ndarray) -> np.ndarray:
    nearest = ndimage.distance_transform_edt(~known, return_distances=False, return_indices=True)
    return map[tuple(nearest)]


def export(parts: Parts, folder: Path) -> None:
    """The maps that disparity.cpp reads: <train or test>_<image, truth or low>.pt."""
    for name, part in (("train", parts.train), ("test", parts.test)):
        for map in ("image", "truth", "low"):
            torch.save(getattr(part, map), folder / f"{name}_{map}.pt")
