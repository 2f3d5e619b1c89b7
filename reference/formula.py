"""The operators' definitions as compositions of torch operations: any float dtype, torch's autograd.

Same signatures as `upwell.ops`. An integer ratio takes the way a torch user would write it (whole maps,
shifted slices); every other size takes an index per output row and column, computed in integers,
therefore exact.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor


def fns(value: Tensor, logits: Tensor, kernel: int, mask_ratio: int | None = None) -> Tensor:
    """Fine-grained neighbour selection. value [N, C, h, w], logits [N, K*K, H, W] -> [N, C, H, W]."""
    (h, w), (H, W) = value.shape[2:], logits.shape[2:]
    valid = _outer(
        _high_res_taps_inside(h, H, kernel, mask_ratio, value.device),
        _high_res_taps_inside(w, W, kernel, mask_ratio, value.device),
    )
    weight = _masked_softmax(logits, valid)
    if H % h == 0 and W % w == 0:
        return _sum_of_shifts(F.interpolate(value, (H, W), mode="bilinear"), weight, kernel, H // h, W // w)
    return _sum_of_samples(value, weight, kernel, _read_bilinear)


def carafe(value: Tensor, logits: Tensor, kernel: int, groups: int = 1, border: str = "zero") -> Tensor:
    """Reassembly with softmax weights. value [N, C, h, w], logits [N, groups*K*K, H, W] -> [N, C, H, W].

    border "zero": a tap outside counts as 0 and keeps its weight; "mask": it leaves the softmax.
    """
    (N, _, h, w), (H, W) = value.shape, logits.shape[2:]
    logits = logits.reshape(N * groups, kernel * kernel, H, W)
    if border == "mask":
        rows, columns = (_low_res_taps_inside(s, S, kernel, value.device) for s, S in ((h, H), (w, W)))
        weight = _masked_softmax(logits, _outer(rows, columns))
    else:
        weight = logits.softmax(1)
    return carafe_reassembly(value, weight.reshape(N, groups * kernel * kernel, H, W), kernel, groups)


def carafe_reassembly(value: Tensor, weight: Tensor, kernel: int, groups: int = 1) -> Tensor:
    """Reassembly with given weights. value [N, C, h, w], weight [N, groups*K*K, H, W] -> [N, C, H, W]."""
    (N, C, h, w), (H, W) = value.shape, weight.shape[2:]
    value = value.reshape(N * groups, C // groups, h, w)
    weight = weight.reshape(N * groups, kernel * kernel, H, W)
    if H % h == 0 and W % w == 0:
        output = _sum_over_cells(value, weight, kernel, H // h, W // w)
    else:
        output = _sum_of_samples(value, weight, kernel, _read_cell)
    return output.reshape(N, C, H, W)


def sample_at_offsets(value: Tensor, offsets: Tensor, scale: int, groups: int = 1, high_res: bool = False) -> Tensor:
    """Samples at learned offsets. value [N, C, h, w], offsets [N, 2*groups*scale^2, h, w], high_res
    [N, 2*groups, scale h, scale w] -> [N, C, scale h, scale w]."""
    N, C, h, w = value.shape
    H, W = scale * h, scale * w
    planes = (offsets if high_res else F.pixel_shuffle(offsets, scale)).reshape(N, 2, groups, H, W)
    cells = value.reshape(N, groups, C // groups, h * w)

    def along(offset: Tensor, cell: Tensor, length: int) -> list[tuple[Tensor, Tensor]]:
        position = (cell + offset).clamp(0, length - 1)
        lower = position.floor().long().clamp(0, length - 1)
        fraction = position - lower
        return [(lower, 1 - fraction), ((lower + 1).clamp(max=length - 1), fraction)]

    rows, columns = (torch.arange(length, device=value.device) // scale for length in (H, W))
    output = 0
    for row, by_row in along(planes[:, 1], rows[:, None], h):
        for column, by_column in along(planes[:, 0], columns, w):
            place = (row * w + column).reshape(N, groups, 1, H * W).expand(-1, -1, C // groups, -1)
            output = output + (by_row * by_column).reshape(N, groups, 1, H * W) * cells.gather(3, place)
    return output.reshape(N, C, H, W)


def adaptive_conv(value: Tensor, weight: Tensor, kernel: int) -> Tensor:
    """A kernel of its own at every pixel. value [N, C, H, W], weight [N, K*K, H, W] -> [N, C, H, W]."""
    return torch.einsum("nkyx,nckyx->ncyx", weight, _mirrored_windows(value, kernel))


def range_weights(query: Tensor, key: Tensor, spatial: Tensor, kernel: int) -> Tensor:
    """A learned range times `spatial`, normalised. query, key [N, D, H, W], spatial [K*K] -> [N, K*K, H, W]."""
    scores = torch.einsum("ncyx,nckyx->nkyx", query, _mirrored_windows(key, kernel))
    weights = scores.softmax(1) * spatial[:, None, None]
    return weights / weights.sum(1, keepdim=True).clamp(1e-7)


CONNECTED = {
    5: [(-1, 0), (0, -1), (0, 0), (0, 1), (1, 0)],
    9: [(i, j) for i in range(-1, 2) for j in range(-1, 2)],
    13: [(i, j) for i in range(-2, 3) for j in range(-2, 3) if abs(i) + abs(j) <= 2],
    17: [(i, j) for i in range(-2, 3) for j in range(-2, 3) if abs(i) + abs(j) <= 2 or abs(i * j) == 4],
    25: [(i, j) for i in range(-2, 3) for j in range(-2, 3)],
}


def index_unpool(value: Tensor, index: Tensor, scale: int = 1, groups: int = 1) -> Tensor:
    """The index of the pixels, repeated for the channels of a group, times the cells."""
    pixels = F.pixel_shuffle(index, scale).repeat_interleave(value.shape[1] // groups, 1)
    return pixels * nearest(value, pixels.shape[2:])


def local_attention(value: Tensor, logits: Tensor) -> Tensor:
    """A softmax over a few cells. value [N, C, h, w], logits [N, T, H, W] -> [N, C, H, W]."""
    (h, w), (H, W) = value.shape[2:], logits.shape[2:]
    padded = _replicate(value, 2, 2)
    cells = torch.stack([padded[..., 2 + i : 2 + i + h, 2 + j : 2 + j + w] for i, j in CONNECTED[logits.shape[1]]], 2)
    high = cells.repeat_interleave(H // h, 3).repeat_interleave(W // w, 4)
    return torch.einsum("nkyx,nckyx->ncyx", logits.softmax(1), high)


def sapa_attention(value: Tensor, query: Tensor, key: Tensor, kernel: int, border: str = "zero") -> Tensor:
    """Reassembly by inner products. value [N, C, h, w], query [N, D, H, W], key [N, D, h, w] -> [N, C, H, W]."""
    (N, D, h, w), (H, W) = key.shape, query.shape[2:]
    windows, inside = (
        nearest(F.unfold(each, kernel, padding=kernel // 2).reshape(N, D * kernel**2, h, w), (H, W))
        for each in (key, torch.ones_like(key))
    )
    products = (windows.reshape(N, D, kernel**2, H, W) * query.unsqueeze(2)).where(inside.reshape(N, D, -1, H, W) > 0, 0)
    return carafe(value, products.sum(1), kernel, 1, border)


def bilinear(value: Tensor, size: tuple[int, int]) -> Tensor:
    """Bilinear interpolation, align_corners=False. value [N, C, h, w] -> [N, C, *size]."""
    (h, w), (H, W) = value.shape[2:], size
    if H % h == 0 and W % w == 0:
        return F.interpolate(value, (H, W), mode="bilinear")
    return _read_bilinear(_read_bilinear(value, 2, H, 0), 3, W, 0)


def bicubic(value: Tensor, size: tuple[int, int]) -> Tensor:
    """Bicubic interpolation, a = -3/4, align_corners=False. value [N, C, h, w] -> [N, C, *size]."""
    return F.interpolate(value, size, mode="bicubic")


def nearest(value: Tensor, size: tuple[int, int]) -> Tensor:
    """Nearest neighbour: output row p is row floor(p h/H). value [N, C, h, w] -> [N, C, *size]."""
    (h, w), (H, W) = value.shape[2:], size
    if H % h == 0 and W % w == 0:  # here p div r is also the nearest centre, which no rounding can miss
        return F.interpolate(value, (H, W), mode="nearest-exact")
    rows = torch.arange(H, device=value.device) * h // H
    columns = torch.arange(W, device=value.device) * w // W
    return value.index_select(2, rows).index_select(3, columns)


def _mirrored_windows(x: Tensor, kernel: int) -> Tensor:
    """Of each pixel the K*K around it, beyond the map in mirrors: [N, C, H, W] -> [N, C, K*K, H, W]."""
    radius = kernel // 2
    for axis in (2, 3):
        length = x.shape[axis]
        place = torch.arange(-radius, length + radius, device=x.device) % max(1, 2 * (length - 1))
        x = x.index_select(axis, torch.minimum(place, (2 * (length - 1) - place).abs()))
    rows = x.unfold(2, kernel, 1).unfold(3, kernel, 1)
    return rows.flatten(-2).movedim(-1, 2)


def _offsets(kernel: int, device: torch.device) -> Tensor:
    return torch.arange(kernel, device=device)[:, None] - (kernel - 1) // 2


def _high_res_taps_inside(
    h: int, H: int, kernel: int, mask_ratio: int | None, device: torch.device
) -> Tensor:
    """[K, H]: does the tap one ratio (H/h, or mask_ratio) times its offset away lie in the image?"""
    p, offset = torch.arange(H, device=device), _offsets(kernel, device)
    step, unit = (H, h) if mask_ratio is None else (mask_ratio, 1)
    tap = p * unit + offset * step
    return (tap >= 0) & (tap <= (H - 1) * unit)


def _low_res_taps_inside(h: int, H: int, kernel: int, device: torch.device) -> Tensor:
    """[K, H]: does the tap on the low-res grid lie in the image?"""
    tap = torch.arange(H, device=device) * h // H + _offsets(kernel, device)
    return (tap >= 0) & (tap < h)


def _outer(rows: Tensor, columns: Tensor) -> Tensor:
    """[K, H] and [K, W] -> [K*K, H, W]: both hold."""
    return (rows[:, None, :, None] & columns[None, :, None, :]).flatten(0, 1)


def _masked_softmax(logits: Tensor, valid: Tensor) -> Tensor:
    return logits.masked_fill(~valid, float("-inf")).softmax(1)


def _replicate(x: Tensor, rows: int, columns: int) -> Tensor:
    """Replicate padding. torch's own, compiled, has no backward on CPU (torch 2.11)."""
    N, C, H, W = x.shape
    x = torch.cat([x[:, :, :1].expand(N, C, rows, W), x, x[:, :, -1:].expand(N, C, rows, W)], 2)
    H += 2 * rows
    return torch.cat([x[..., :1].expand(N, C, H, columns), x, x[..., -1:].expand(N, C, H, columns)], 3)


def _sum_of_shifts(high: Tensor, weight: Tensor, kernel: int, row_ratio: int, column_ratio: int) -> Tensor:
    """sum_i weight_i(p) high(p + ratio offset_i), replicate border. high N,C,H,W, weight N,K*K,H,W."""
    H, W = high.shape[2:]
    radius = (kernel - 1) // 2
    padded = _replicate(high, radius * row_ratio, radius * column_ratio)
    output = torch.zeros_like(high)
    for i in range(kernel * kernel):
        y, x = i // kernel * row_ratio, i % kernel * column_ratio
        output = output + weight[:, i : i + 1] * padded[:, :, y : y + H, x : x + W]
    return output


def _sum_over_cells(value: Tensor, weight: Tensor, kernel: int, row_ratio: int, column_ratio: int) -> Tensor:
    """sum_i weight_i(p) value(p div ratio + offset_i), zero border: a matrix product per cell."""
    N, C, h, w = value.shape
    windows = F.unfold(value, kernel, padding=(kernel - 1) // 2).reshape(N, C, kernel * kernel, h, w)
    cells = weight.reshape(N, kernel * kernel, h, row_ratio, w, column_ratio)
    return torch.einsum("nckhw,nkhrws->nchrws", windows, cells).reshape(N, C, h * row_ratio, w * column_ratio)


def _sum_of_samples(value: Tensor, weight: Tensor, kernel: int, read: Callable[..., Tensor]) -> Tensor:
    """sum_i weight_i(p) read(value)(p, offset_i), any size. value [N, C, h, w], weight [N, K*K, H, W]."""
    H, W = weight.shape[2:]
    radius = (kernel - 1) // 2
    rows = [read(value, 2, H, offset) for offset in range(-radius, radius + 1)]
    taps = (read(row, 3, W, offset) for row in rows for offset in range(-radius, radius + 1))
    return sum(weight[:, i : i + 1] * tap for i, tap in enumerate(taps))


def _read_bilinear(x: Tensor, axis: int, size: int, offset: int) -> Tensor:
    """x along an axis at u(p) + offset, u(p) = (p + 1/2) length/size - 1/2, replicate border."""
    length = x.shape[axis]
    numerator = (2 * torch.arange(size, device=x.device) + 1) * length - size  # 2 size u(p)
    base = numerator.div(2 * size, rounding_mode="floor")
    fraction = (numerator - 2 * size * base).to(x.dtype) / (2 * size)
    first, second = ((base + offset + i).clamp(0, length - 1) for i in (0, 1))
    return torch.lerp(x.index_select(axis, first), x.index_select(axis, second), _along(fraction, axis))


def _read_cell(x: Tensor, axis: int, size: int, offset: int) -> Tensor:
    """x along an axis at floor(p length/size) + offset, zero border."""
    length = x.shape[axis]
    cell = torch.arange(size, device=x.device) * length // size + offset
    inside = ((cell >= 0) & (cell < length)).to(x.dtype)
    return x.index_select(axis, cell.clamp(0, length - 1)) * _along(inside, axis)


def _along(factor: Tensor, axis: int) -> Tensor:
    """[size] as a factor along rows (axis 2) or columns (axis 3) of N, C, H, W."""
    return factor[:, None] if axis == 2 else factor
