"""What the paper puts in the PCDC block's place (Table VI). Called like it:
scores(k, q, rows, columns), k and q [N, D, H, W], neighbours rows and columns apart -> [N, K*K, H, W]."""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from upwell.nn.pcdc import PCDCBlock, Ratio


class InnerProduct(nn.Module):
    """Table VI (a): the inner product of the query and each neighbouring key (Eq. 3), both group-normalised
    as in the block (Fig. 5), whose shared affine parameters are all that it learns."""

    def __init__(self, block: PCDCBlock):
        super().__init__()
        self.norm = block.norm
        self.kernel_size = block.kernel_size

    def forward(self, k: Tensor, q: Tensor, rows: Ratio, columns: Ratio) -> Tensor:
        dilation, (H, W) = whole(rows, columns), q.shape[2:]
        k, q = pad(self.norm(k), self.kernel_size, dilation), self.norm(q)
        starts = offsets(self.kernel_size, dilation)
        return torch.stack([(q * k[:, :, y : y + H, x : x + W]).sum(1) for y, x in starts], 1)


class Convolution(nn.Module):
    """Table VI (b): the block with a plain convolution of concat(q, k) instead of the paired difference.

    Groups, dilation, L and the channel compressor stay. A group convolves the same channels of q and k, as
    one of PCDC does: concatenated whole, half of the groups would see nothing but q.
    """

    def __init__(self, block: PCDCBlock):
        super().__init__()
        self.norm, self.bias, self.channel_compressor = block.norm, block.bias, block.channel_compressor
        L, each, K, _ = block.weight.shape
        self.groups = block.norm.num_channels // each
        self.weight = nn.Parameter(torch.empty(L, 2 * each, K, K))
        nn.init.kaiming_normal_(self.weight, mode="fan_out", nonlinearity="relu")  # as the block's

    def forward(self, k: Tensor, q: Tensor, rows: Ratio, columns: Ratio) -> Tensor:
        dilation = whole(rows, columns)
        grouped = [self.norm(each).unflatten(1, (self.groups, -1)) for each in (q, k)]
        pair = pad(torch.cat(grouped, 2).flatten(1, 2), self.weight.shape[-1], dilation)
        v = F.conv2d(pair, self.weight, dilation=dilation, groups=self.groups)
        return self.channel_compressor(v + self.bias)


def whole(rows: Ratio, columns: Ratio) -> tuple[int, int]:
    """The ratios as integers. ValueError if they are not."""
    if rows.high % rows.low or columns.high % columns.low:
        ratios = " and ".join(f"{each.high}/{each.low}" for each in (rows, columns))
        raise ValueError(f"ratios should be integers but are {ratios}")
    return rows.high // rows.low, columns.high // columns.low


def pad(x: Tensor, kernel_size: int, dilation: tuple[int, int]) -> Tensor:
    """x [N, C, H, W], its border repeated as far as neighbours reach."""
    rows, columns = (kernel_size // 2 * step for step in dilation)
    return F.pad(x, (columns, columns, rows, rows), mode="replicate")


def offsets(kernel_size: int, dilation: tuple[int, int]) -> Iterator[tuple[int, int]]:
    """Where the K*K neighbours start in a padded map, row-major."""
    steps = range(kernel_size)
    return ((dilation[0] * i, dilation[1] * j) for i in steps for j in steps)
