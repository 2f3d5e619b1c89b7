"""The guided filter (He et al., arXiv 1505.00996), per channel, as a composition of torch operations."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from upwell import ops
from upwell.nn.pad import pad_to


class GuidedFilter(nn.Module):
    """input, filtered to follow the edges of guide: guide * a + b with a, b smooth and fitted to input.

    Args:
        radius: of the box, in full-size pixels; any, also beyond the image.
        eps: what a variance of the guide has to exceed to count as an edge.
        channels: D.
        scale: a and b are fitted on every scale-th pixel.
        centred: put a and b back where their pixels came from. Published (False): as if each had been the
            centre of a scale x scale block, which shifts them by (scale - 1)/2 pixels.
    """

    def __init__(self, radius: int, eps: float, channels: int, scale: int = 1, centred: bool = False):
        super().__init__()
        self.radius = radius // scale
        self.eps = eps
        self.scale = scale
        self.centred = centred
        # Part of the published state_dict; the box means below do not need it.
        self.register_buffer("kernel", torch.ones(channels, 1, 1, 2 * self.radius + 1))

    def forward(self, guide: Tensor, input: Tensor) -> Tensor:
        """guide, input [N, D, H, W] -> [N, D, H, W]."""
        I, p = self._subsample(guide), self._subsample(input)
        mean_I, mean_p, mean_Ip, mean_II = self._box_mean(torch.stack([I, p, I * p, I * I])).unbind()
        a = (mean_Ip - mean_I * mean_p) / (mean_II - mean_I * mean_I + self.eps)
        b = mean_p - a * mean_I
        a, b = self._upsample(self._box_mean(torch.stack([a, b])), guide.shape[2:]).unbind()
        return a * guide + b

    def _subsample(self, x: Tensor) -> Tensor:
        """Every scale-th pixel from the first, floor(H/scale) rows (at least one)."""
        h, w = (max(length // self.scale, 1) for length in x.shape[2:])
        return x[:, :, : h * self.scale : self.scale, : w * self.scale : self.scale]

    def _box_mean(self, x: Tensor) -> Tensor:
        """Mean over the pixels of the (2R+1)^2 box that lie in the image. x [fields, N, D, h, w]."""
        R = self.radius
        rows = F.avg_pool2d(x.flatten(0, 1), (2 * R + 1, 1), 1, (R, 0), count_include_pad=False)
        return F.avg_pool2d(rows, (1, 2 * R + 1), 1, (0, R), count_include_pad=False).view_as(x)

    def _upsample(self, x: Tensor, size: torch.Size) -> Tensor:
        """x [fields, N, D, h, w] -> [fields, N, D, *size]."""
        if self.scale == 1:
            return x
        flat = x.flatten(0, 1)
        if self.centred:  # corners aligned, cell i lands on the pixel i * scale it came from
            h, w = (self.scale * (length - 1) + 1 for length in flat.shape[2:])
            full = pad_to(F.interpolate(flat, (h, w), mode="bilinear", align_corners=True), size)
        else:
            full = ops.bilinear(flat, size)
        return full.unflatten(0, x.shape[:2])
