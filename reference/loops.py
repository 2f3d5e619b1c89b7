"""The operators as plain loops over their definition, positions as exact fractions: slow, easy to believe.

Every operator is linear in value, so each is written as the matrix it multiplies value by: a row per high-res
pixel, a column per low-res pixel, float64. Its transpose is the true gradient with respect to value.
"""

import math
from fractions import Fraction

import torch

Shares = dict[int, Fraction]  # low-res index -> its share of one sample, per axis; shares sum to 1


def position(p: int, low: int, high: int) -> Fraction:
    """Where the centre of high-res pixel p of high lies among low low-res pixels (align_corners=False)."""
    return Fraction(2 * p + 1, 2) * low / high - Fraction(1, 2)


def sample(t: Fraction, low: int) -> Shares:
    """Linear interpolation at t, replicating the border."""
    t = min(max(t, Fraction(0)), Fraction(low - 1))
    base = math.floor(t)
    shares: Shares = {base: 1 - (t - base)}
    if t != base:
        shares[base + 1] = t - base
    return shares


def cubic_sample(t: Fraction, low: int) -> Shares:
    """Cubic convolution (Keys, 1981, a = -3/4) at t, replicating the border."""

    def weight(distance: Fraction) -> Fraction:
        a, d = Fraction(-3, 4), abs(distance)
        if d <= 1:
            return (a + 2) * d**3 - (a + 3) * d**2 + 1
        return a * (d**3 - 5 * d**2 + 8 * d - 4) if d < 2 else Fraction(0)

    shares: Shares = {}
    for cell in range(math.floor(t) - 1, math.floor(t) + 3):
        inside = min(max(cell, 0), low - 1)
        shares[inside] = shares.get(inside, Fraction(0)) + weight(t - cell)
    return shares


def offsets(kernel: int) -> range:
    """The taps of one axis, in low-res pixels: -1, 0, 1 for kernel 3."""
    return range(-(kernel // 2), kernel // 2 + 1)


def fns_axis(p: int, low: int, high: int, kernel: int, mask_ratio: int | None) -> list[Shares]:
    """What each tap of high-res pixel p reads; nothing where the high-res neighbour lies outside the map."""
    ratio = Fraction(high, low)
    step = ratio if mask_ratio is None else Fraction(mask_ratio)
    return [
        sample(position(p, low, high) + offset, low) if 0 <= p + offset * step <= high - 1 else {}
        for offset in offsets(kernel)
    ]


def carafe_axis(p: int, low: int, high: int, kernel: int) -> list[Shares]:
    """The taps around the low-res pixel that high-res pixel p lies in; nothing outside the map."""
    base = p * low // high
    return [{base + offset: Fraction(1)} if 0 <= base + offset < low else {} for offset in offsets(kernel)]


def softmax(logits: list[float], taking_part: list[bool]) -> list[float]:
    """Softmax over the taps that take part, 0 for the others."""
    top = max(logit for logit, takes in zip(logits, taking_part) if takes)
    powers = [math.exp(logit - top) if takes else 0.0 for logit, takes in zip(logits, taking_part)]
    return [power / sum(powers) for power in powers]


def reassembly_matrix(rows: list[list[Shares]], columns: list[list[Shares]], weights, shape) -> torch.Tensor:
    """The matrix [H*W, h*w] of a sample and group; weights(y, x, inside) gives a pixel's K*K weights."""
    h, w = shape
    matrix = torch.zeros(len(rows) * len(columns), h * w, dtype=torch.float64)
    for y, row_taps in enumerate(rows):
        for x, column_taps in enumerate(columns):
            taps = [(row, column) for row in row_taps for column in column_taps]
            inside = [bool(row) and bool(column) for row, column in taps]
            for (row, column), weight in zip(taps, weights(y, x, inside)):
                for i, row_share in row.items():
                    for j, column_share in column.items():
                        matrix[y * len(columns) + x, i * w + j] += weight * float(row_share * column_share)
    return matrix


def fns_matrix(
    logits: torch.Tensor, shape: tuple[int, int], kernel: int, mask_ratio: int | None = None
) -> torch.Tensor:
    """The matrix [H*W, h*w] of one sample with logits [K*K, H, W] and a low-res map of shape (h, w)."""
    rows = [fns_axis(y, shape[0], logits.shape[1], kernel, mask_ratio) for y in range(logits.shape[1])]
    columns = [fns_axis(x, shape[1], logits.shape[2], kernel, mask_ratio) for x in range(logits.shape[2])]
    return reassembly_matrix(
        rows, columns, lambda y, x, inside: softmax(logits[:, y, x].tolist(), inside), shape
    )


def carafe_matrix(weight: torch.Tensor, shape: tuple[int, int], kernel: int, weights) -> torch.Tensor:
    """The matrix [H*W, h*w] of a sample and group; weights(given, inside) turns weight[:, y, x] to taps."""
    rows = [carafe_axis(y, shape[0], weight.shape[1], kernel) for y in range(weight.shape[1])]
    columns = [carafe_axis(x, shape[1], weight.shape[2], kernel) for x in range(weight.shape[2])]
    return reassembly_matrix(
        rows, columns, lambda y, x, inside: weights(weight[:, y, x].tolist(), inside), shape
    )


def resize_matrix(shape: tuple[int, int], size: tuple[int, int], axis) -> torch.Tensor:
    """The matrix [H*W, h*w] of an interpolation, one tap of weight 1; axis(p, low, high) gives its shares."""
    rows = [[axis(y, shape[0], size[0])] for y in range(size[0])]
    columns = [[axis(x, shape[1], size[1])] for x in range(size[1])]
    return reassembly_matrix(rows, columns, lambda y, x, inside: [1.0], shape)


def apply(matrices: list[torch.Tensor], value: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Multiplies each sample and group, [N*groups] in order, by its matrix: [N, C, H, W] in float64."""
    n, c = value.shape[:2]
    if n == 0:
        return torch.zeros(0, c, *size, dtype=torch.float64)
    groups = len(matrices) // n
    flat = value.double().reshape(n * groups, c // groups, -1)
    return torch.stack([one @ matrix.T for one, matrix in zip(flat, matrices)]).reshape(n, c, *size)


def fns(
    value: torch.Tensor, logits: torch.Tensor, kernel: int, mask_ratio: int | None = None
) -> torch.Tensor:
    """value [N, C, h, w], logits [N, K*K, H, W] -> [N, C, H, W]."""
    shape = tuple(value.shape[2:])
    return apply(
        [fns_matrix(one, shape, kernel, mask_ratio) for one in logits], value, tuple(logits.shape[2:])
    )


def carafe(
    value: torch.Tensor, logits: torch.Tensor, kernel: int, groups: int = 1, border: str = "zero"
) -> torch.Tensor:
    """value [N, C, h, w], logits [N, groups*K*K, H, W] -> [N, C, H, W]."""

    def weights(given: list[float], inside: list[bool]) -> list[float]:
        return softmax(given, inside if border == "mask" else [True] * len(inside))

    return _grouped(value, logits, kernel, groups, weights)


def carafe_reassembly(
    value: torch.Tensor, weight: torch.Tensor, kernel: int, groups: int = 1
) -> torch.Tensor:
    """value [N, C, h, w], weight [N, groups*K*K, H, W] -> [N, C, H, W]."""
    return _grouped(value, weight, kernel, groups, lambda given, inside: given)


def _grouped(value: torch.Tensor, weight: torch.Tensor, kernel: int, groups: int, weights) -> torch.Tensor:
    shape, size = tuple(value.shape[2:]), tuple(weight.shape[2:])
    each = weight.reshape(-1, kernel * kernel, *size)
    return apply([carafe_matrix(one, shape, kernel, weights) for one in each], value, size)


def bilinear(value: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """value [N, C, h, w] -> [N, C, H, W] with size = (H, W)."""
    matrix = resize_matrix(
        tuple(value.shape[2:]), size, lambda p, low, high: sample(position(p, low, high), low)
    )
    return apply([matrix] * value.shape[0], value, size)


def bicubic(value: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """value [N, C, h, w] -> [N, C, H, W] with size = (H, W)."""
    matrix = resize_matrix(
        tuple(value.shape[2:]), size, lambda p, low, high: cubic_sample(position(p, low, high), low)
    )
    return apply([matrix] * value.shape[0], value, size)


def mirrored(place: int, length: int) -> int:
    """A place beyond a line of `length`, which goes on in mirrors: c b | a b c | b a."""
    while not 0 <= place < length:
        place = 0 if length == 1 else -place if place < 0 else 2 * (length - 1) - place
    return place


def adaptive_conv(value: torch.Tensor, weight: torch.Tensor, kernel: int) -> torch.Tensor:
    """value [N, C, H, W], weight [N, K*K, H, W] -> [N, C, H, W]."""
    (H, W), output = value.shape[2:], torch.zeros_like(value)
    for y in range(H):
        for x in range(W):
            for i, (dy, dx) in enumerate((dy, dx) for dy in offsets(kernel) for dx in offsets(kernel)):
                read = value[:, :, mirrored(y + dy, H), mirrored(x + dx, W)]
                output[:, :, y, x] += weight[:, i, y, x, None] * read
    return output


def range_weights(query: torch.Tensor, key: torch.Tensor, spatial: torch.Tensor, kernel: int) -> torch.Tensor:
    """query, key [N, D, H, W], spatial [K*K] -> [N, K*K, H, W]."""
    N, _, H, W = query.shape
    output = query.new_zeros(N, kernel**2, H, W)
    for n in range(N):
        for y in range(H):
            for x in range(W):
                taps = [(mirrored(y + dy, H), mirrored(x + dx, W)) for dy in offsets(kernel) for dx in offsets(kernel)]
                scores = [torch.dot(query[n, :, y, x], key[n, :, row, column]).item() for row, column in taps]
                shares = [a * b for a, b in zip(softmax(scores, [True] * len(taps)), spatial.tolist())]
                output[n, :, y, x] = output.new_tensor([share / max(sum(shares), 1e-7) for share in shares])
    return output


def local_attention(value: torch.Tensor, logits: torch.Tensor, taps: list[tuple[int, int]]) -> torch.Tensor:
    """value [N, C, h, w], logits [N, T, H, W], taps: T rows and columns of cells -> [N, C, H, W]."""
    (N, C, h, w), (H, W) = value.shape, logits.shape[2:]
    output = value.new_zeros(N, C, H, W)
    for n in range(N):
        for y in range(H):
            for x in range(W):
                weights = softmax(logits[n, :, y, x].tolist(), [True] * len(taps))
                for weight, (row, column) in zip(weights, taps):
                    cell = (min(max(y * h // H + row, 0), h - 1), min(max(x * w // W + column, 0), w - 1))
                    output[n, :, y, x] += weight * value[n, :, cell[0], cell[1]]
    return output


def nearest(value: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """value [N, C, h, w] -> [N, C, H, W] with size = (H, W)."""
    matrix = resize_matrix(tuple(value.shape[2:]), size, lambda p, low, high: {p * low // high: Fraction(1)})
    return apply([matrix] * value.shape[0], value, size)
