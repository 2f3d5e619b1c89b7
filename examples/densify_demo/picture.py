"""The picture that the demo ends with: features as colours, by the first three principal components of the large image's own."""

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from densify_demo.report import MOST, Result
from upwell.densify.draw import draw_components
from upwell.densify.report import held_out


def show(results: list[Result], frozen: nn.Module, image: Tensor, path: Path) -> tuple[str, Path]:
    """The photograph [3, H, W], its features at both resolutions, and what each method makes of the low ones."""
    ratio = results[0].method.dense.ratio
    large = held_out(image, frozen.multiple, ratio, MOST)
    small = F.avg_pool2d(large, ratio)
    with torch.no_grad():
        low, high = frozen(small), frozen(large)
        made = {f"{each.method.name}, {each.score.cosine:.4f}": each.method.dense(small, low)[0] for each in results}
    draw_components(path, large[0], {"of the large image": high[0], "low-res": low[0], **made})
    return "Picture", path
