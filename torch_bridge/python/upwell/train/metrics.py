"""IoU and boundary IoU per class, from counts that add up over images and processes."""

import math

import numpy as np
import torch
from scipy.ndimage import maximum_filter, minimum_filter

from upwell.train.distributed import Group

BOUNDARY_WIDTH = 0.02  # of the image's diagonal (Cheng et al., Boundary IoU, CVPR 2021)
OUTSIDE = -1


class Scores:
    """Counts of pixels; those whose truth is ignore count nowhere."""

    def __init__(self, classes: int, ignore: int):
        self.classes = classes
        self.ignore = ignore
        # Of areas and of boundaries: pixels in both truth and prediction, in the truth, in the prediction.
        self.counts = np.zeros((2, 3, classes), np.int64)

    def add(self, truth: np.ndarray, predicted: np.ndarray) -> None:
        """truth, predicted [H, W] integers."""
        valid = truth != self.ignore
        predicted = np.where(valid, predicted, self.ignore)  # an ignored region has the same outline in both
        everywhere = np.ones_like(valid)
        self.counts[0] += self._count(truth, predicted, valid, everywhere, everywhere)
        self.counts[1] += self._count(truth, predicted, valid, boundary(truth), boundary(predicted))

    def _count(self, truth, predicted, valid, in_truth, in_predicted) -> np.ndarray:
        both = in_truth & in_predicted & (truth == predicted)
        maps = ((truth, both), (truth, in_truth), (predicted, in_predicted))
        return np.stack([np.bincount(of[where & valid], minlength=self.classes) for of, where in maps])

    def sum_over(self, group: Group) -> None:
        self.counts = group.sum(torch.from_numpy(self.counts)).cpu().numpy()

    def iou(self) -> list[float | None]:
        """Per class; None for one that is neither in the truth nor predicted."""
        return _ratios(self.counts[0])

    def boundary_iou(self) -> list[float | None]:
        """Per class: IoU of the parts of truth and prediction that lie near their own outlines."""
        return _ratios(self.counts[1])


def boundary(labels: np.ndarray) -> np.ndarray:
    """labels [H, W] -> bool: within the boundary width of a pixel of another label, or of the image's border.

    Per label this is the mask less its erosion by a square, for all labels at once: a square is of one label
    where its minimum and maximum agree.
    """
    distance = max(1, round(BOUNDARY_WIDTH * math.hypot(*labels.shape)))
    window = {"size": 2 * distance + 1, "mode": "constant", "cval": OUTSIDE}
    return minimum_filter(labels, **window) != maximum_filter(labels, **window)


def mean(values: list[float | None]) -> float | None:
    """Over the classes that have a value."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _ratios(counts: np.ndarray) -> list[float | None]:
    both, truth, predicted = counts.tolist()
    unions = [t + p - b for b, t, p in zip(both, truth, predicted)]
    return [b / union if union else None for b, union in zip(both, unions)]
