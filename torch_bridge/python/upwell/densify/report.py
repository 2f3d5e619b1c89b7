"""How far dense features are from those that the backbone has of the image at the high resolution."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from upwell.densify.objective import TINY
from upwell.densify.views import resize


class Score(NamedTuple):
    """Means over the pixels of all images."""

    cosine: float
    error: float  # mean squared, in units of the range of the target's channels


def held_out(image: Tensor, multiple: int, ratio: int, most: int) -> Tensor:
    """image [3, H, W] -> [1, 3, H', W'], both sides multiples of ratio multiple and about most px at most."""
    shrink = min(1.0, most / max(image.shape[1:]))
    step = ratio * multiple
    size = [max(step, int(length * shrink) // step * step) for length in image.shape[1:]]
    return resize(image, size)[None]


@torch.no_grad()
def score(backbone: nn.Module, dense: nn.Module, images: Sequence, most: int, device: torch.device | str = "cpu") -> Score:
    """Of (name, image [3, H, W]) each: features of the image at 1/ratio, made dense, against those of the image itself."""
    dense.eval()
    cosines, errors = [], []
    for _, image in images:
        source = held_out(image, backbone.multiple, dense.ratio, most).to(device)
        low = F.avg_pool2d(source, dense.ratio)
        target, made = backbone(source), dense(low, backbone(low))
        span = target.amax(1, keepdim=True) - target.amin(1, keepdim=True) + TINY
        cosines.append(F.cosine_similarity(made, target, dim=1).flatten())
        errors.append(((made - target) / span).square().mean(1).flatten())
    return Score(torch.cat(cosines).double().mean().item(), torch.cat(errors).double().mean().item())
