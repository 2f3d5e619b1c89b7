"""Rotary position embeddings of maps: channels are turned by an angle that the pixel's place gives."""

import math

import torch
from torch import Tensor, nn


def turn(x: Tensor, angle: Tensor) -> Tensor:
    """x cos(angle) + (-b, a) sin(angle), a and b the two halves of x's channels. x [..., D, H, W], angle [D, H, W]."""
    a, b = x.chunk(2, -3)
    cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
    return torch.addcmul(x * cos, torch.cat([-b, a], -3), sin)


class LearnedRoPE(nn.Module):
    """Of AnyUp and JAFAR: the angle of a channel is a learned linear function of the place, which is 0 .. 1 from the first
    row (column) to the last.

    Two channels that `turn` takes together have angles of their own, at first one of the row and one of the column: this
    is no rotation. So it is published, and checkpoints depend on it.

    Args:
        dim: D, a multiple of 4.
        theta: ratio of the largest frequency at the start to the smallest.
    """

    def __init__(self, dim: int, theta: float = 100):
        super().__init__()
        falling = theta ** torch.linspace(0, -1, dim // 4)
        frequencies = torch.cat([falling, falling])
        at_rest = torch.zeros_like(frequencies)
        of_rows, of_columns = torch.cat([frequencies, at_rest]), torch.cat([at_rest, frequencies])
        self.freqs = nn.Parameter(2 * math.pi * torch.stack([of_rows, of_columns]))  # 2, D

    def forward(self, x: Tensor) -> Tensor:
        """x [N, D, H, W], of the same shape."""
        freqs = _of_32_bits(self.freqs)
        # Not torch.linspace, which fixes the size of an exported program.
        places = (torch.arange(n, dtype=freqs.dtype, device=x.device) for n in x.shape[2:])
        rows, columns = (place / max(n - 1, 1) for place, n in zip(places, x.shape[2:]))
        of_rows, of_columns = freqs[:, :, None, None]  # D, 1, 1
        return turn(x, of_rows * rows[:, None] + of_columns * columns)


class AxialRoPE(nn.Module):
    """Of NAF: a quarter of a head's channels is turned by the row, the next by the column, with the two other quarters.

    Args:
        dim: of all heads, a multiple of 4 heads.
        heads: of dim/heads channels each.
        base: ratio of the longest period to the shortest.
        rescale: in training, places are multiplied by a random number of 1/rescale .. rescale (uniform logarithm), a new
            one every call. (Published: the first is kept until a map of another size comes, in evaluation too.) None: not.
    """

    def __init__(self, dim: int, heads: int, base: float = 100.0, rescale: float | None = None):
        super().__init__()
        self.heads = heads
        self.rescale = rescale
        quarter = dim // heads // 4
        self.register_buffer("periods", base ** (torch.arange(quarter) / quarter))

    def forward(self, x: Tensor) -> Tensor:
        """x [N, heads D, H, W], of the same shape."""
        H, W = x.shape[2:]
        turns = 2 * math.pi / _of_32_bits(self.periods)[:, None, None]
        rows, columns = ((2 * torch.arange(n, device=x.device) + 1).to(turns.dtype) / n - 1 for n in (H, W))
        if self.training and self.rescale is not None:
            reach = math.log(self.rescale)
            factor = torch.empty((), device=x.device).uniform_(-reach, reach).exp()
            rows, columns = rows * factor, columns * factor
        angle = torch.cat([(turns * rows[:, None]).expand(-1, H, W), (turns * columns).expand(-1, H, W)])
        return turn(x.unflatten(1, (self.heads, -1)), torch.cat([angle, angle])).flatten(1, 2)


def _of_32_bits(x: Tensor) -> Tensor:
    """x, or in float32 what has fewer bits: too few for angles of several turns."""
    return x.to(torch.promote_types(x.dtype, torch.float32))
