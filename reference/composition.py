"""ReSFU as a composition of torch operations, the way it was published: every map at full resolution, torch's autograd.

The operators have the signatures of `upwell.ops`; `resfu` takes the parameters of an `upwell.nn.ReSFU`.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from reference import formula

SIDE = math.exp(-0.5) / (1 + 2 * math.exp(-0.5))  # sigma 1, normalised
PROFILE = (SIDE, 1 - 2 * SIDE, SIDE)
NORM_EPS = 1e-5


def gaussian3(x: Tensor) -> Tensor:
    """x [N, D, H, W] blurred per channel with sigma 1 and replicate border."""
    weight = x.new_tensor([[a * b for a in PROFILE] for b in PROFILE])
    channels = x.shape[1]
    return F.conv2d(replicate_pad(x, 1, 1), weight.expand(channels, 1, 3, 3), groups=channels)


def group_stats(x: Tensor, groups: int, eps: float = NORM_EPS, blur: bool = False, size=None) -> tuple[Tensor, Tensor]:
    """Mean and 1/sqrt(variance + eps) [N, groups] of x, of x blurred, or of x upsampled to size."""
    x = gaussian3(x) if blur else x
    x = x if size is None else formula.bilinear(x, size)
    grouped = x.reshape(len(x), groups, -1)
    return grouped.mean(2), (grouped.var(2, correction=0) + eps).rsqrt()


def _samples(guide: Tensor, input: Tensor, scale: int) -> tuple[Tensor, Tensor]:
    """Every scale-th pixel of the guide, and of the input upsampled to its size."""
    if input.shape[2:] != guide.shape[2:]:
        input = formula.bilinear(input, guide.shape[2:])
    return _subsample(guide, scale), _subsample(input, scale)


def guided_filter(
    guide: Tensor,
    input: Tensor,
    radius: int,
    eps: float = 1e-3,
    scale: int = 1,
    centred: bool = False,
    border: str = "inside",
) -> Tensor:
    """The guided filter of guide [N, D, H, W] on input [N, D, h, w], upsampled first."""
    I, p = _samples(guide, input, scale)
    R = radius // scale
    mean_I, mean_p, mean_Ip, mean_II = box_mean(torch.stack([I, p, I * p, I * I]), R, border).unbind()
    a = (mean_Ip - mean_I * mean_p) / (mean_II - mean_I * mean_I + eps)
    b = mean_p - a * mean_I
    a, b = _put_back(box_mean(torch.stack([a, b]), R, border), guide.shape[2:], scale, centred).unbind()
    return a * guide + b


def colour_guided_filter(
    guide: Tensor,
    input: Tensor,
    radius: int,
    eps: float = 1e-3,
    scale: int = 1,
    centred: bool = False,
    border: str = "inside",
) -> Tensor:
    """The guided filter of guide [N, 3, H, W] on input [N, C, h, w], upsampled first."""
    I, p = _samples(guide, input, scale)

    def mean(fields: Tensor) -> Tensor:
        """[N, ..., h, w]"""
        return box_mean(fields.flatten(1, -3)[None], radius // scale, border).view_as(fields)

    mean_I, mean_p = mean(I), mean(p)
    covariance = mean(I[:, :, None] * p[:, None]) - mean_I[:, :, None] * mean_p[:, None]
    variance = mean(I[:, :, None] * I[:, None]) - mean_I[:, :, None] * mean_I[:, None]
    pixels_first = (0, 3, 4, 1, 2)
    S = variance.permute(pixels_first) + eps * torch.eye(3, dtype=I.dtype, device=I.device)
    a = torch.linalg.solve(S, covariance.permute(pixels_first)).permute(0, 3, 4, 1, 2)  # [N, 3, C, h, w]
    b = mean_p - (a * mean_I[:, :, None]).sum(1)
    a, b = (_put_back(mean(fit)[None].flatten(2, -3), guide.shape[2:], scale, centred)[0] for fit in (a, b))
    return (a.unflatten(1, (3, -1)) * guide[:, :, None]).sum(1) + b


def _subsample(x: Tensor, scale: int) -> Tensor:
    """Every scale-th pixel from the first, floor(H/scale) rows (at least one)."""
    h, w = (max(length // scale, 1) for length in x.shape[2:])
    return x[:, :, : h * scale : scale, : w * scale : scale]


def box_mean(x: Tensor, R: int, border: str = "inside") -> Tensor:
    """Mean over the pixels of the (2R+1)^2 box that lie in the image, or in its mirrors. x [fields, N, D, h, w]."""
    if border != "inside":
        for axis in (3, 4):
            x = x.index_select(axis, mirrored(x.shape[axis], R, border, x.device)).unfold(axis, 2 * R + 1, 1).mean(-1)
        return x
    rows = F.avg_pool2d(x.flatten(0, 1), (2 * R + 1, 1), 1, (R, 0), count_include_pad=False)
    return F.avg_pool2d(rows, (1, 2 * R + 1), 1, (0, R), count_include_pad=False).view_as(x)


def mirrored(length: int, R: int, border: str, device: torch.device | None = None) -> Tensor:
    """The pixels of a line with R more at each end: c b | a b c ("reflect") or b a | a b c ("symmetric")."""
    places = torch.arange(-R, length + R, device=device)
    if border == "symmetric":
        places = places % (2 * length)
        return torch.minimum(places, 2 * length - 1 - places)
    places = places % max(2 * length - 2, 1)
    return torch.minimum(places, 2 * length - 2 - places).abs()


def _put_back(x: Tensor, size: torch.Size, scale: int, centred: bool) -> Tensor:
    """x [fields, N, D, h, w] -> [fields, N, D, *size]."""
    if scale == 1:
        return x
    flat = x.flatten(0, 1)
    if centred:  # corners aligned, cell i lands on the pixel i * scale it came from
        h, w = (scale * (length - 1) + 1 for length in flat.shape[2:])
        full = pad_to(F.interpolate(flat, (h, w), mode="bilinear", align_corners=True), size)
    else:
        full = formula.bilinear(flat, size)
    return full.unflatten(0, x.shape[:2])


def pcdc(key: Tensor, query: Tensor, weight: Tensor, bias: Tensor | None = None, groups: int = 1, dilation=(1, 1)):
    """conv(key, weight, dilation, replicate border) - conv1x1(query, sum of weight) + bias. [N, D, H, W] -> [N, L, H, W]."""
    high, across = dilation
    return spread_convolution(key, weight, groups, (high, 1, across, 1)) - F.conv2d(
        query, weight.sum((2, 3), keepdim=True), None if bias is None else -bias, groups=groups
    )


def pcdc_scores(
    key: Tensor,
    query: Tensor,
    norm_weight: Tensor,
    weight: Tensor,
    bias: Tensor,
    compress_weight: Tensor,
    compress_bias: Tensor,
    hidden_weight: Tensor,
    hidden_bias: Tensor,
    score_weight: Tensor,
    score_bias: Tensor,
    groups: int,
    norm_groups: int,
    ratio: tuple[int, ...] | None = None,
    relu: bool = True,
    blur: bool = False,
) -> Tensor:
    """As `upwell.ops.pcdc_scores`. A low-res key is upsampled first, where its pixels are a whole number apart."""
    (h, w), (H, W) = key.shape[2:], query.shape[2:]
    mean, rstd = group_stats(key, norm_groups, NORM_EPS, blur, None if ratio else (H, W))
    query = torch.group_norm(query, norm_groups, norm_weight, torch.zeros_like(norm_weight), NORM_EPS)
    key = gaussian3(key) if blur else key
    mean, rstd = (s.repeat_interleave(key.shape[1] // norm_groups, 1)[:, :, None, None] for s in (mean, rstd))
    key = (key - mean) * rstd * norm_weight[:, None, None]
    if ratio is not None:
        v = spread_convolution(key, weight, groups, ratio)
    elif H % h == 0 and W % w == 0:
        v = spread_convolution(formula.bilinear(key, (H, W)), weight, groups, (H // h, 1, W // w, 1))
    else:  # taps between the pixels of the upsampled map: the map that goes on between them is the low-res one's
        around = weight.shape[2] // 2 + 1
        v = upsample_beyond_border(F.conv2d(replicate_pad(key, around, around), weight, groups=groups), (H, W))
    v = v - F.conv2d(query, weight.sum((2, 3), keepdim=True), groups=groups) + bias.reshape(1, -1, 1, 1)
    v = v.relu() if relu else v
    hidden = F.conv2d(v, compress_weight.reshape(len(compress_weight), -1, 1, 1), compress_bias, groups=groups).relu()
    hidden = torch.group_norm(hidden, norm_groups, hidden_weight, hidden_bias, NORM_EPS)
    return F.conv2d(hidden, score_weight.reshape(len(score_weight), -1, 1, 1), score_bias)


def spread_convolution(k: Tensor, weight: Tensor, groups: int, ratio: tuple[int, ...]) -> Tensor:
    """conv(k, weight) with taps one ratio apart, replicate border, bilinear between pixels."""
    row_high, row_low, column_high, column_low = ratio
    radius = weight.shape[2] // 2
    if row_high % row_low == 0 and column_high % column_low == 0:
        dilation = (row_high // row_low, column_high // column_low)
        padded = replicate_pad(k, radius * dilation[0], radius * dilation[1])
        return F.conv2d(padded, weight, dilation=dilation, groups=groups)
    offsets = range(-radius, radius + 1)
    shifted = [shift(k, 2, i * row_high, row_low) for i in offsets]
    taps = [shift(row, 3, i * column_high, column_low) for row in shifted for i in offsets]
    stacked = torch.stack(taps, 2).flatten(1, 2)  # N, D * K*K, H, W
    return F.conv2d(stacked, weight.flatten(1)[:, :, None, None], groups=groups)


def upsample_beyond_border(low: Tensor, size: tuple[int, int]) -> Tensor:
    """Upsampling of a map known one pixel beyond its border: low [N, L, h + 2, w + 2] -> [N, L, *size]."""
    h, w = low.shape[2] - 2, low.shape[3] - 2
    return _interpolation(low, h, size[0]) @ low @ _interpolation(low, w, size[1]).T


def _interpolation(like: Tensor, h: int, H: int) -> Tensor:
    """[H, h + 2]: the weight of the pixels -1 .. h in a row of the upsampled map, 1 - |u(p) - pixel|."""
    twice_u = (2 * torch.arange(H, device=like.device) + 1) * h - H  # 2 H u(p), an integer
    distance = (twice_u[:, None] - 2 * H * torch.arange(-1, h + 1, device=like.device)).abs()
    return (1 - distance.to(like.dtype) / (2 * H)).clamp_min(0)


def block_parameters(block) -> list[Tensor]:
    """The tensors that pcdc_scores takes behind key and query, of an upwell.nn.PCDCBlock."""
    first, _, norm, last = block.channel_compressor[-4:]
    return [
        *(block.norm.weight, block.weight, block.bias),
        *(first.weight, first.bias, norm.weight, norm.bias, last.weight, last.bias),
    ]


def resfu(module, y: Tensor, x: Tensor) -> Tensor:
    """The output of an `upwell.nn.ReSFU` (with lr_mult 1), composed; the same parameters get the gradients."""
    size, low = y.shape[2:], x.shape[2:]
    scale = module.scale_factor
    true = (size[0], low[0], size[1], low[1])
    spread = (int(scale), 1, int(scale), 1) if scale is not None and scale == int(scale) else true
    follows = spread[0] * true[1] == true[0] * spread[1] and spread[2] * true[3] == true[2] * spread[3]

    q = module.q(module.norm_y(y) if module.normy else y)
    k = module.k(module.norm_x(x) if module.normx else x)
    k_up = formula.bilinear(k, size)
    q_gf = guided_filter(q, k_up, module.GF.radius, module.GF.eps, module.GF.scale, module.GF.centred)
    semantic, detail = module.semantic_scores, module.detail_scores
    options = (semantic.groups, semantic.norm.num_groups)
    relu = semantic.layout == "published"
    whole = size[0] % low[0] == 0 and size[1] % low[1] == 0
    key, ratio = (k, None) if follows and not whole else (k_up, spread)
    scores = pcdc_scores(key, q_gf, *block_parameters(semantic), *options, ratio, relu)
    scores = scores + pcdc_scores(q, q, *block_parameters(detail), *options, spread, relu, blur=True)
    return formula.fns(x, scores, module.kernel_size, None if follows else spread[0])


def replicate_pad(x: Tensor, rows: int, columns: int) -> Tensor:
    """x [N, C, H, W] -> [N, C, H + 2 rows, W + 2 columns]. torch's own, compiled, has no backward on CPU (torch 2.11)."""
    return _extend(_extend(x, 2, rows, rows), 3, columns, columns)


def pad_to(x: Tensor, size: torch.Size) -> Tensor:
    """x [N, C, h, w] -> [N, C, *size], size at least (h, w): the last row and column repeated."""
    return _extend(_extend(x, 2, 0, size[0] - x.shape[2]), 3, 0, size[1] - x.shape[3])


def _extend(x: Tensor, axis: int, before: int, after: int) -> Tensor:
    """The first slice along axis repeated before times in front, the last after times behind."""
    shape = list(x.shape)
    parts = []
    for start, count in ((0, before), (shape[axis] - 1, after)):
        shape[axis] = count
        parts.append(x.narrow(axis, start, 1).expand(shape))
    return torch.cat([parts[0], x, parts[1]], axis)


def shift(x: Tensor, axis: int, numerator: int, denominator: int) -> Tensor:
    """x at p + numerator/denominator along axis: linear between pixels, replicate border."""
    whole, remainder = divmod(numerator, denominator)
    length = x.shape[axis]
    extended = _extend(x, axis, max(-whole, 0), max(whole + 1, 0))
    near = extended.narrow(axis, max(whole, 0), length)
    far = extended.narrow(axis, max(whole, 0) + 1, length)
    return torch.lerp(near, far, remainder / denominator)
