"""What dense features are trained for: to be the frozen backbone's features of the image at the high resolution."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from upwell.densify.dense import Dense
from upwell.densify.views import View, recolour
from upwell.nn.encoder import pool

WHOLE = ("enlarged", "source")
TINY = 1e-6  # added to the range that a pixel is scaled by
REDUCED = 0.1  # AnyUp's weight of its input consistency
VARIATION = 0.05  # FeatUp's weight of the total variation of magnitudes


def distance(p: Tensor, t: Tensor) -> Tensor:
    """p, t [N, C, H, W] -> the mean over pixels of 1 - cos(p, t), plus the mean squared error once both are scaled, per pixel,
    so that the target's least channel is 0 and its greatest 1 (JAFAR, arXiv 2506.11136; AnyUp; WRC)."""
    low = t.amin(1, keepdim=True)
    scale = t.amax(1, keepdim=True) - low + TINY
    return (1 - F.cosine_similarity(p, t, dim=1)).mean() + ((p - t) / scale).square().mean()


class Weights(NamedTuple):
    """Of the terms; 0 leaves a term out."""

    local: float = 1
    whole: float = 1
    consistency: float = 1
    regulariser: float = 1


class Batch(NamedTuple):
    """Views and what the backbone makes of them. s is its stride, r the ratio, h x h the cells of the low-res image."""

    image: Tensor  # [N, 3, s h, s h]
    recoloured: Tensor  # the same
    features: Tensor  # [N, C, h, h]
    corners: Tensor  # [N, crops, 2], in cells of the output
    local: Tensor | None  # [N crops, C, c, c], of the crops of the source
    whole: Tensor | None  # [N, C, r h, r h], of the image enlarged, or of the source


class Teacher(nn.Module):
    """Makes batches of views.

    Args:
        backbone: of stride s.
        ratio: r.
        crop: px per side.
        whole: what the whole output is compared with: features of the image "enlarged" (WRC), or of the "source" itself.
    """

    def __init__(self, backbone: nn.Module, ratio: int, crop: int, whole: str = WHOLE[0]):
        super().__init__()
        self.backbone = backbone
        self.ratio = ratio
        self.crop = crop
        self.whole = whole

    @torch.no_grad()
    def forward(self, views: View, weights: Weights) -> Batch:
        """views: batched, source [N, 3, S, S]."""
        source, corners, colours = views
        image = F.avg_pool2d(source, self.ratio)
        local = self.backbone(self._crops(source, corners)) if weights.local else None
        large = source if self.whole == "source" else self._enlarged(image)
        whole = self.backbone(large) if weights.whole else None
        return Batch(image, recolour(image, colours), self.backbone(image), corners, local, whole)

    def _crops(self, source: Tensor, corners: Tensor) -> Tensor:
        stride = self.backbone.stride
        return windows(source, corners * stride, self.crop)

    def _enlarged(self, image: Tensor) -> Tensor:
        size = [self.ratio * length for length in image.shape[2:]]
        return F.interpolate(image, size, mode="bilinear", align_corners=True)


def windows(maps: Tensor, corners: Tensor, side: int) -> Tensor:
    """maps [N, C, H, W], corners [N, crops, 2] -> [N crops, C, side, side]."""
    cut = [
        one[:, top : top + side, left : left + side]
        for one, places in zip(maps, corners.tolist())
        for top, left in places
    ]
    return torch.stack(cut)


class Objective(nn.Module):
    """The loss of dense features: a module, so that processes that share it see one call per backward pass.

    local: the output, cut to each crop, against the backbone's features of that crop of the source.
    whole: the output against the features of the image enlarged, or of the source.
    consistency: the output with a recoloured guide against the output with the plain one, without gradient through that.
    regulariser: of the upsampler's own paper.
    """

    def __init__(self, dense: Dense, weights: Weights = Weights()):
        super().__init__()
        self.dense = dense
        self.weights = weights

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """-> the sum of the terms, and the terms [4], without gradient, in the order of Weights; 0 where there is none."""
        output = self.dense(batch.image, batch.features).to(batch.features.dtype)
        terms = [
            self.weights.local and self._local(output, batch),
            self.weights.whole and distance(output, batch.whole),
            self.weights.consistency and self._consistency(output, batch),
            self.weights.regulariser and REGULARISERS.get(self.dense.upsampler, _none)(output, batch.features),
        ]
        terms = torch.stack([torch.as_tensor(term, dtype=output.dtype, device=output.device) for term in terms])
        return (terms * terms.new_tensor(self.weights)).sum(), terms.detach()

    def _local(self, output: Tensor, batch: Batch) -> Tensor:
        return distance(windows(output, batch.corners, batch.local.shape[2]), batch.local)

    def _consistency(self, output: Tensor, batch: Batch) -> Tensor | float:
        if not self.dense.is_guided:
            return 0.0
        again = self.dense(batch.recoloured, batch.features).to(output.dtype)
        return distance(again, output.detach())


def reduced(output: Tensor, features: Tensor) -> Tensor:
    """AnyUp's input consistency: the output's mean over each cell against the features."""
    return REDUCED * distance(pool(output, features.shape[2:]), features)


def variation(output: Tensor, features: Tensor) -> Tensor:
    """FeatUp's prior: squared differences of the magnitudes of neighbouring pixels; here in units of the image's features' own,
    so that no image's term depends on the others of its batch."""
    magnitude = output.norm(dim=1) / features.norm(dim=1).mean((1, 2), keepdim=True).clamp_min(TINY)
    return VARIATION * (magnitude.diff(dim=1).square().mean() + magnitude.diff(dim=2).square().mean())


def _none(output: Tensor, features: Tensor) -> float:
    return 0.0


REGULARISERS = {"anyup": reduced, "jbu": variation}
