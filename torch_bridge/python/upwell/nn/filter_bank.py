"""AnyUp's first layer of features: it takes any number of channels and gives as many as it has filters."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from upwell.nn.layer import laid_out
from upwell.nn.rows import in_chunks_of_rows


class FilterBank(nn.Module):
    """Every channel filtered by every filter, and of that the mean over channels of the softmax over filters.

    With L filters and C channels, filter l of channel c is number c L + l of the responses. The published code takes the
    softmax over a and the mean over b of number a C + b: a channel's responses are not compared with each other, but with
    those of other channels. Checkpoints were trained so, and so it stays.

    Args:
        filters: L.
        kernel_size: k, odd.
        gaussian: start from derivatives of a Gaussian instead of random filters.
    """

    def __init__(self, filters: int, kernel_size: int, gaussian: bool = False):
        super().__init__()
        start = gaussian_derivatives(filters, kernel_size) if gaussian else torch.randn(filters, kernel_size, kernel_size)
        self.basis = nn.Parameter(start[:, None])  # L, 1, k, k

    def forward(self, x: Tensor) -> Tensor:
        """x [N, C, h, w] -> [N, L, h, w]. Zeros around x; a response is divided by its filter's taps inside x."""
        (N, C, h, w), (L, _, k, _) = x.shape, self.basis.shape
        around = k // 2
        padded = F.pad(x, [around] * 4)
        inside = _taps_inside(h, k, x)[:, None] * _taps_inside(w, k, x)

        def of_rows(first: int, end: int) -> Tensor:
            patches = F.unfold(padded[:, :, first : end + 2 * around], k).unflatten(1, (C, k * k))
            responses = laid_out(self.basis).view(L, k * k) @ patches  # N, C, L, pixels
            responses = responses / inside[first:end].flatten()
            mixed = responses.flatten(1, 2).unflatten(1, (L, C))
            return mixed.softmax(1).mean(2).unflatten(2, (end - first, w))

        return in_chunks_of_rows(of_rows, h, N * C * (L + k * k) * w)


def _taps_inside(length: int, kernel: int, like: Tensor) -> Tensor:
    """[length]: how many taps around each place lie inside."""
    place = torch.arange(length, device=like.device)
    around = kernel // 2
    return (place.clamp_max(around) + (length - 1 - place).clamp_max(around) + 1).to(like.dtype)


def gaussian_derivatives(count: int, kernel_size: int) -> Tensor:
    """The first count derivatives of a 2-D Gaussian by falling order in the rows, all of an order before the next,
    [count, k, k]. The outermost taps are at 1.645 sigma, beyond which lie a tenth of a Gaussian; a derivative is by
    x/sigma."""
    half = kernel_size // 2
    sigma = half / 1.645
    z = torch.arange(-half, half + 1, dtype=torch.float64) / sigma
    gaussian = torch.exp(-z.square() / 2) / (sigma * math.sqrt(2 * math.pi))
    hermite = [torch.ones_like(z), z]  # the n-th derivative is (-1)^n He_n(z) times the Gaussian
    order = 0
    while (order + 1) * (order + 2) // 2 < count:
        order += 1
        hermite.append(z * hermite[-1] - order * hermite[-2])
    along = [(-1) ** n * each * gaussian for n, each in enumerate(hermite)]
    bank = [torch.outer(along[total - n], along[n]) for total in range(order + 1) for n in range(total + 1)]
    return torch.stack(bank[:count]).to(torch.get_default_dtype())
