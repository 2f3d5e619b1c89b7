"""Linear probes: one linear layer on dense features, the backbone and the upsampler as they are. Logistic regression for
classes, ridge regression for values."""

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from upwell.densify.at_pixels import at_pixels, whole
from upwell.densify.labelled import IGNORED, Labelled
from upwell.nn.check import check
from upwell.train.metrics import Scores, mean

PIXELS = 4000  # that train a probe, over all pictures
DECAY = 1e-3  # of the squared weights, for standardised features
STEPS = 200  # of L-BFGS, at most


class Linear(NamedTuple):
    weight: Tensor  # [outputs, C]
    bias: Tensor  # [outputs]

    def __call__(self, features: Tensor, size: tuple[int, int]) -> Tensor:
        """features [C, h, w] -> [outputs, H, W]. Layer and interpolation commute: the narrower map is interpolated."""
        return whole(torch.einsum("oc,chw->ohw", self.weight, features) + self.bias[:, None, None], size)


def fit(features: Tensor, truth: Tensor, decay: float = DECAY) -> Linear:
    """features [n, C]; truth [n]: classes (int64), or values (float). The minimum of the mean cross entropy, or half the
    mean squared error, plus decay / 2 times the squared weights for features of mean 0 and deviation 1; bias is free."""
    centre, scale = features.mean(0), features.std(0, correction=0).clamp_min(1e-6)
    inputs = ((features - centre) / scale).double()
    weight, bias = (_ridge if truth.is_floating_point() else _logistic)(inputs, truth, decay)
    weight = weight / scale
    return Linear(weight.to(features.dtype), (bias - weight @ centre.double()).to(features.dtype))


def _ridge(inputs: Tensor, truth: Tensor, decay: float) -> tuple[Tensor, Tensor]:
    level = truth.double().mean()
    moments = inputs.T @ inputs / len(inputs) + decay * torch.eye(inputs.shape[1], dtype=inputs.dtype)
    weight = torch.linalg.solve(moments, inputs.T @ (truth.double() - level) / len(inputs))
    return weight[None], level[None]


def _logistic(inputs: Tensor, truth: Tensor, decay: float) -> tuple[Tensor, Tensor]:
    classes = int(truth.max()) + 1
    weight = inputs.new_zeros(classes, inputs.shape[1], requires_grad=True)
    bias = inputs.new_zeros(classes, requires_grad=True)
    descent = torch.optim.LBFGS([weight, bias], max_iter=STEPS, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        descent.zero_grad()
        value = F.cross_entropy(F.linear(inputs, weight, bias), truth) + decay / 2 * weight.square().sum()
        value.backward()
        return value

    with torch.enable_grad():
        descent.step(loss)
    return weight.detach(), bias.detach()


def known(truth: Tensor) -> Tensor:
    """[H, W] bool: which pixels count."""
    return torch.isfinite(truth) if truth.is_floating_point() else truth != IGNORED


def probe(features: list[Tensor], pictures: list[Labelled], seed: int, pixels: int = PIXELS) -> dict[str, float]:
    """Trains a probe on some pixels of the training part of pictures and scores it on every pixel of the other part.

    features: [C, h, w] of each picture.
    Returns: for classes iou and boundary_iou, means over the classes; for values error, the mean absolute one.
    """
    random = np.random.default_rng(seed)
    each = -(-pixels // sum(bool(picture.trained.any()) for picture in pictures))
    inputs, truths = [], []
    for dense, picture in zip(features, pictures, strict=True):
        places = torch.nonzero(picture.trained & known(picture.truth))
        chosen = places[np.sort(random.permutation(len(places))[:each])]
        inputs.append(at_pixels(dense, picture.truth.shape, *chosen.T).T)
        truths.append(picture.truth[tuple(chosen.T)])
    said = sum(map(len, truths))
    check(said > 0, f"{pictures[0].name}: mask should say something of the training part but ignores all of it")
    layer = fit(torch.cat(inputs), torch.cat(truths))
    score = _score_values if truths[0].is_floating_point() else _score_classes
    return score([layer(dense, picture.truth.shape) for dense, picture in zip(features, pictures)], pictures)


def _scored(pictures: list[Labelled]) -> list[Tensor]:
    return [known(picture.truth) & ~picture.trained for picture in pictures]


def _score_values(outputs: list[Tensor], pictures: list[Labelled]) -> dict[str, float]:
    parts = zip(outputs, pictures, _scored(pictures))
    errors = torch.cat([(output[0] - picture.truth)[where].abs() for output, picture, where in parts])
    return {"error": errors.double().mean().item()}


def _score_classes(outputs: list[Tensor], pictures: list[Labelled]) -> dict[str, float]:
    scores = Scores(1 + max(int(picture.truth.max()) for picture in pictures), IGNORED)
    for output, picture, where in zip(outputs, pictures, _scored(pictures)):
        if where.any():
            scores.add(picture.truth.masked_fill(~where, IGNORED).numpy(), output.argmax(0).numpy())
    return {"iou": mean(scores.iou()), "boundary_iou": mean(scores.boundary_iou())}
