"""The operators as functions: on CPU and CUDA, float32, float64, float16 and bfloat16, differentiable, any
memory layout in, contiguous NCHW out.

16-bit tensors are computed in float32. Weights (the logits of fns and carafe, the weight of
carafe_reassembly) may be float32 beside a 16-bit value, which is what autocast makes of them.

Low-res maps are N,C,h,w and high-res maps N,C,H,W; H and W are free (any size, up or down). K is the number
of taps per side, odd. A bad argument raises an exception that names the operator, the argument, what it should be and what it is:
TypeError where Python's type is wrong.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from upwell.compiled import KERNELS, check_kernel
from upwell.explained import explained
from upwell.renamed import renamed
from upwell.window_weights import window_weights

__all__ = [
    "adaptive_conv",
    "bicubic",
    "bilinear",
    "carafe",
    "carafe_reassembly",
    "colour_guided_filter",
    "cross_attention",
    "fns",
    "fold_group_norm",
    "group_stats",
    "guided_filter",
    "index_unpool",
    "local_attention",
    "merge_kernels",
    "nearest",
    "pcdc",
    "pcdc_scores",
    "range_weights",
    "sample_at_offsets",
    "sapa_attention",
    "transposed_conv",
    "wrc_data",
    "wrc_exact",
    "wrc_prior",
    "wrc_spectral",
]

BORDERS = ("zero", "mask")  # of carafe and sapa_attention


def __getattr__(name: str):
    """Operators that are described and have no function here."""
    from upwell.build import function_of

    if name.startswith("_") or (function := function_of(name)) is None:
        raise AttributeError(f"upwell.ops has no operator {name!r}")
    globals()[name] = function
    return function


def fns(
    value: Tensor, logits: Tensor, kernel: int, mask_ratio: int | None = None, *, return_weights: bool = False
) -> Tensor | tuple[Tensor, Tensor]:
    """Fine-grained neighbour selection (ReSFU): each high-res pixel is a softmax-weighted sum of K*K bilinear
    samples of value, one low-res pixel apart; taps outside the image leave the softmax. Pixel p of H reads row
    (p + 1/2) h/H - 1/2: the ratio is that of the sizes, H/h, as with recompute_scale_factor of torch's interpolate.

    Args:
        value: [N, C, h, w].
        logits: [N, K*K, H, W], taps row-major.
        kernel: K.
        mask_ratio: high-res pixels between two taps where it is decided which lie outside, if not H/h and
            W/w.
        return_weights: the weights of taps too, which nothing else keeps.

    Returns:
        [N, C, H, W]; with return_weights a pair of it and [N, K*K, H, W].
    """
    call = torch.ops.upwell.fns_and_weights if return_weights else torch.ops.upwell.fns
    return call(value, logits, kernel, mask_ratio)


def carafe(
    value: Tensor,
    logits: Tensor,
    kernel: int,
    groups: int = 1,
    border: str = "zero",
    *,
    return_weights: bool = False,
) -> Tensor | tuple[Tensor, Tensor]:
    """Content-aware reassembly (CARAFE): each high-res pixel is a softmax-weighted sum of the K*K low-res
    pixels around floor(p h/H), with weights of its own for each group of channels.

    Args:
        value: [N, C, h, w], groups dividing C.
        logits: [N, groups*K*K, H, W], taps row-major within a group; the softmax is over a group's K*K.
        kernel: K.
        groups: channel groups.
        border: "zero" (published): a tap outside counts as 0 and keeps its weight; "mask": it leaves the
            softmax.
        return_weights: the weights of taps too, which nothing else keeps.

    Returns:
        [N, C, H, W]; with return_weights a pair of it and [N, groups, K*K, H, W].
    """
    call = torch.ops.upwell.carafe_and_weights if return_weights else torch.ops.upwell.carafe
    return call(value, logits, kernel, groups, border)


def carafe_reassembly(value: Tensor, weight: Tensor, kernel: int, groups: int = 1) -> Tensor:
    """`carafe` with the weights as given, and zeros outside the image: mmcv's carafe(features, masks, ...).

    Args:
        value: [N, C, h, w], groups dividing C.
        weight: [N, groups*K*K, H, W].
        kernel: K.
        groups: channel groups.

    Returns:
        [N, C, H, W].
    """
    return torch.ops.upwell.carafe_reassembly(value, weight, kernel, groups)


def sapa_attention(
    value: Tensor, query: Tensor, key: Tensor, kernel: int, border: str = "zero", *, return_weights: bool = False
) -> Tensor | tuple[Tensor, Tensor]:
    """Similarity-aware reassembly (SAPA, arXiv 2209.12866): `carafe` whose logits are the inner products of a pixel's
    query with the keys of the K*K cells around its own. A key outside the map is 0. Beside tensors of 16 bits others may be
    float32.

    Args:
        value: [N, C, h, w].
        query: [N, D, H, W].
        key: [N, D, h, w].
        kernel: K.
        border: "zero" (published): a tap outside has score 0 and value 0, and keeps its weight; "mask": it leaves the
            softmax.
        return_weights: the weights of taps too.

    Returns:
        [N, C, H, W]; with return_weights a pair of it and [N, K*K, H, W].
    """
    tensors = {"value": value, "query": query, "key": key}
    for name, tensor in tensors.items():
        if tensor.dim() != 4 or tensor.shape[2] < 1 or tensor.shape[3] < 1:
            raise ValueError(f"sapa_attention: {name} should be [N, C, H >= 1, W >= 1] but is {list(tensor.shape)}")
        if not tensor.is_floating_point():
            raise ValueError(f"sapa_attention: {name} should be floating-point numbers but is {tensor.dtype}")
        if (tensor.dtype == torch.float64) != (query.dtype == torch.float64):
            raise ValueError(f"sapa_attention: {name} should be {query.dtype} like query but is {tensor.dtype}")
    (N, _, h, w), (_, D, H, W) = value.shape, query.shape
    if query.shape[0] != N:
        raise ValueError(f"sapa_attention: query should be [{N}, {D}, {H}, {W}] but is {list(query.shape)}")
    if list(key.shape) != [N, D, h, w]:
        raise ValueError(f"sapa_attention: key should be [{N}, {D}, {h}, {w}] but is {list(key.shape)}")
    if border not in BORDERS:
        raise ValueError(f"sapa_attention: border should be one of {', '.join(BORDERS)} but is {border!r}")
    check_kernel("sapa_attention", "kernel", kernel, KERNELS["carafe"])
    if key.dtype != query.dtype:
        query, key = query.float(), key.float()
    # A weight's gradient is the inner product of what comes in at the pixel and the value at the tap.
    scores = torch.ops.upwell.carafe_reassembly_d_weight(query, key, kernel, 1)
    if not return_weights:
        return carafe(value, scores, kernel, 1, border)
    output, weights = carafe(value, scores, kernel, 1, border, return_weights=True)
    return output, weights.squeeze(1)


def cross_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    heads: int = 1,
    window: str = "shifted",
    kernel: int | Sequence[int] = 0,
    ratio: float = 0.0,
    mean_heads: bool = False,
    *,
    return_weights: bool = False,
) -> Tensor | tuple[Tensor, Tensor]:
    """Attention of each high-res pixel to the low-res cells in a window of its own, the core of AnyUp (arXiv 2510.12764),
    NAF (arXiv 2511.18452) and JAFAR (arXiv 2506.11136): the softmax over the window of query . key / sqrt(d), times value.
    Neither keys nor values are upsampled, and no weights are stored. Gradients are deterministic.

    Args:
        query: [N, heads*d, H, W]; channels g*d to (g+1)*d - 1 are head g's.
        key: [N, heads*d, h, w].
        value: [N, C, h, w]; channels C/heads*g to C/heads*(g+1) - 1 are head g's, which divides C, unless mean_heads.
        heads: of query and key.
        window: along each axis, of n cells and m pixels, "shifted": kernel cells from the pixel's own,
            floor((p + 1/2) n/m), less kernel // 2, moved inside the map at its ends; "ratio": the cells that overlap
            ((p + 1/2)/m - ratio) n to ((p + 1/2)/m + ratio) n; "masked": kernel cells around floor(p n/m), those outside
            left out; "whole": all.
        kernel: of "shifted" and "masked" (odd): rows and columns, or one number for both.
        ratio: of "ratio".
        mean_heads: the mean of the heads' weights serves all channels of value.
        return_weights: the weights too, for the T cells of a window, row-major; of cells outside the map, or behind the end of
            a window that is smaller than others, 0.

    Returns:
        [N, C, H, W]; with return_weights a pair of it and [N, heads, T, H, W], or [N, T, H, W] with mean_heads.
    """
    kernel = [kernel] * 2 if isinstance(kernel, int) else kernel
    output = torch.ops.upwell.cross_attention(query, key, value, heads, window, kernel, ratio, mean_heads)
    if not return_weights:
        return output
    return output, window_weights(query, key, heads, window, tuple(kernel), ratio, mean_heads)


def local_attention(
    value: Tensor, logits: Tensor, *, return_weights: bool = False
) -> Tensor | tuple[Tensor, Tensor]:
    """Attention to a few neighbours, UPLiFT's local attender (arXiv 2601.17950): each high-res pixel is the softmax-weighted sum
    of the cells at T offsets from its own, those beyond the map the nearest ones in it. T is 5 (the cell and the four next to
    it), 9 (3 x 3), 13 (those at most two steps away), 17 (and the corners of 5 x 5) or 25 (5 x 5), row-major.

    Args:
        value: [N, C, h, w].
        logits: [N, T, H, W], H, W multiples of h, w.
        return_weights: the weights of taps too.

    Returns:
        [N, C, H, W]; with return_weights a pair of it and [N, T, H, W].
    """
    output = torch.ops.upwell.local_attention(value, logits)
    return (output, logits.softmax(1)) if return_weights else output


def range_weights(query: Tensor, key: Tensor, spatial: Tensor, kernel: int) -> Tensor:
    """Weights of a joint bilateral filter with a learned range (FeatUp, arXiv 2403.10516): of each pixel over the K*K around it,
    beyond the map in mirrors, the softmax of query . key times `spatial`, divided by its sum, or by 1e-7 if that is more.

    Args:
        query, key: [N, D, H, W].
        spatial: [K*K], taps row-major.
        kernel: K.

    Returns:
        [N, K*K, H, W].
    """
    return torch.ops.upwell.range_weights(query, key, spatial, kernel)


def adaptive_conv(value: Tensor, weight: Tensor, kernel: int) -> Tensor:
    """Convolution with a kernel of its own at every pixel (FeatUp, arXiv 2403.10516): each pixel is the sum of the K*K pixels
    around it, times weights; beyond the map it goes on in mirrors (torch's "reflect", however small the map is).

    Args:
        value: [N, C, H, W].
        weight: [N, K*K, H, W], taps row-major.
        kernel: K.

    Returns:
        [N, C, H, W].
    """
    return torch.ops.upwell.adaptive_conv(value, weight, kernel)


def bilinear(
    value: Tensor,
    size: Sequence[int] | None = None,
    scale_factor: float | Sequence[float] | None = None,
    recompute_scale_factor: bool | None = None,
) -> Tensor:
    """Bilinear interpolation: torch.nn.functional.interpolate with align_corners=False. Pixel p of H reads the low-res
    map at (p + 1/2)/s - 1/2.

    Args:
        value: [N, C, h, w].
        size: (H, W); s is H/h and W/w.
        scale_factor: instead of size: of rows and columns, or one for both; H, W are floor(h s), floor(w s), and s
            is scale_factor.
        recompute_scale_factor: with scale_factor: s is H/h and W/w of the size rounded down.

    Returns:
        [N, C, H, W].
    """
    return torch.ops.upwell.bilinear(value, *_target("bilinear", value, size, scale_factor, recompute_scale_factor))


def bicubic(
    value: Tensor,
    size: Sequence[int] | None = None,
    scale_factor: float | Sequence[float] | None = None,
    recompute_scale_factor: bool | None = None,
) -> Tensor:
    """Bicubic interpolation (a = -3/4, align_corners=False), with size, scale_factor and recompute_scale_factor as `bilinear`
    has them. value [N, C, h, w] -> [N, C, H, W].
    """
    return torch.ops.upwell.bicubic(value, *_target("bicubic", value, size, scale_factor, recompute_scale_factor))


def nearest(
    value: Tensor,
    size: Sequence[int] | None = None,
    scale_factor: float | Sequence[float] | None = None,
    recompute_scale_factor: bool | None = None,
) -> Tensor:
    """Nearest neighbour: row p is row floor(p/s), with size, scale_factor, recompute_scale_factor and s as
    `bilinear` has them. value [N, C, h, w] -> [N, C, H, W].

    For whole s, and with size, floor(p h/H) is exact. Otherwise p/s is rounded to float32, as torch does, and where H is
    h or 2 h floor(p h/H) is taken, as torch takes it.
    """
    return torch.ops.upwell.nearest(value, *_target("nearest", value, size, scale_factor, recompute_scale_factor))


def _target(
    name: str,
    value: Tensor,
    size: Sequence[int] | None,
    scale_factor: float | Sequence[float] | None,
    recompute_scale_factor: bool | None,
) -> tuple[Sequence[int], float | None, float | None]:
    """(H, W), and the scales of rows and columns that positions follow, None where the ratio of sizes is meant."""
    if (size is None) == (scale_factor is None):
        raise ValueError(f"{name}: one of size and scale_factor should be given but they are {size} and {scale_factor}")
    if size is not None:
        if recompute_scale_factor:
            raise ValueError(f"{name}: recompute_scale_factor should be given with scale_factor but size is {size}")
        return size, None, None
    if value.dim() != 4:
        raise ValueError(f"{name}: value should be [N, C, h, w] but is {list(value.shape)}")
    scales = tuple(scale_factor) if isinstance(scale_factor, Sequence) else (scale_factor, scale_factor)
    if len(scales) != 2 or not all(0 < scale < math.inf for scale in scales):
        raise ValueError(f"{name}: scale_factor should be one or two positive finite numbers but is {scale_factor}")
    # Sizes may be symbols, which int() would fix; of whole numbers their products are whole.
    size = [
        length * int(scale) if scale == int(scale) else math.floor(length * scale)
        for length, scale in zip(value.shape[2:], scales)
    ]
    return size, *((None, None) if recompute_scale_factor else map(float, scales))


def fold_group_norm(
    weight: Tensor, bias: Tensor, norm_weight: Tensor, norm_bias: Tensor, mean: Tensor, rstd: Tensor
) -> tuple[Tensor, Tensor]:
    """A group normalisation of known statistics and the 1x1 convolution behind it, as one product for each sample.

    weight ((x - mean) rstd norm_weight + norm_bias) + bias = folded_weight x + folded_bias: the normalised map need not be.

    Args:
        weight: [O, C], of the convolution.
        bias: [O].
        norm_weight: [C], of the normalisation.
        norm_bias: [C].
        mean: [N, groups], groups dividing C (group_stats).
        rstd: [N, groups].

    Returns:
        folded_weight [N, O, C] and folded_bias [N, O].
    """
    return torch.ops.upwell.fold_group_norm(weight, bias, norm_weight, norm_bias, mean, rstd)


def group_stats(
    x: Tensor, groups: int, eps: float = 1e-5, blur: bool = False, size: Sequence[int] | None = None
) -> tuple[Tensor, Tensor]:
    """Mean and 1/sqrt(variance + eps) of groups of channels, as a group normalisation takes them.

    Args:
        x: [N, C, H, W], groups dividing C.
        groups: of channels.
        eps: added to the variance.
        blur: of x blurred by the 3x3 Gaussian (sigma 1, replicate border).
        size: of x upsampled bilinearly to it, in closed form; not together with blur.

    Returns:
        Two [N, groups].
    """
    if size is None:
        return torch.ops.upwell.group_stats(x, groups, eps, blur)
    if blur:
        raise ValueError("group_stats: blur and size exclude each other")
    return torch.ops.upwell.upsampled_group_stats(x, size, groups, eps)


def guided_filter(
    guide: Tensor,
    input: Tensor,
    radius: int,
    eps: float = 1e-3,
    scale: int = 1,
    centred: bool = False,
    border: str = "inside",
) -> Tensor:
    """The guided filter (He et al., arXiv 1505.00996), per channel: mean(a) guide + mean(b), with a guide + b
    fitted to input in every box.

    Args:
        guide: [N, D, H, W].
        input: [N, D, h, w], interpolated to H, W (bilinear, align_corners=False) where it is read.
        radius: of the box, in pixels of the guide (radius // scale samples); any.
        eps: what a variance of the guide has to exceed to count as an edge.
        scale: the fit is made on every scale-th pixel.
        centred: put the fit back where those pixels are. Published (False): as if they were the centres of
            scale x scale blocks, which shifts it by (scale - 1)/2 pixels.
        border: "inside": means are over the pixels of a box that lie in the image. Else the (subsampled) image
            goes on beyond its edges in mirrors, "reflect" (kornia, torch: c b | a b c) or "symmetric" (OpenCV:
            b a | a b c), for which both maps are copied with 2 radii more on every side.

    Returns:
        [N, D, H, W].
    """
    return torch.ops.upwell.guided_filter(guide, input, radius, eps, scale, centred, border)


def colour_guided_filter(
    guide: Tensor,
    input: Tensor,
    radius: int,
    eps: float = 1e-3,
    scale: int = 1,
    centred: bool = False,
    border: str = "inside",
) -> Tensor:
    """The guided filter with a colour guide (He et al., Guided Image Filtering, TPAMI 2013, section 3.6): mean(a) .
    guide + mean(b), with a . guide + b fitted to input in every box, for each channel of input by itself.

    Args:
        guide: [N, 3, H, W].
        input: [N, C, h, w], interpolated to H, W (bilinear, align_corners=False) where it is read.
        eps: positive; what a variance of the guide, along any direction of colour, has to exceed to count as an edge.
        radius, scale, centred, border: as of `guided_filter`.

    Returns:
        [N, C, H, W].
    """
    return torch.ops.upwell.colour_guided_filter(guide, input, radius, eps, scale, centred, border)


def pcdc(
    key: Tensor,
    query: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    groups: int = 1,
    dilation: Sequence[int] = (1, 1),
) -> Tensor:
    """Paired central difference convolution (ReSFU, Eq. 11): conv(key, weight) - conv1x1(query, sum of weight over
    its taps) + bias, replicate border.

    Args:
        key, query: [N, D, H, W].
        weight: [L, D/groups, K, K], K odd.
        bias: [L].
        groups: of both convolutions.
        dilation: (rows, columns) between taps.

    Returns:
        [N, L, H, W].
    """
    return torch.ops.upwell.pcdc(key, query, weight, bias, groups, dilation)


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
    ratio: Sequence[int] | None = None,
    relu: bool = True,
    blur: bool = False,
    keep_mib: int = -1,
) -> Tensor:
    """A whole PCDC block (ReSFU, Sec. 4.2.2): GroupNorm of key and of query, pcdc, ReLU, grouped 1x1 convolution,
    ReLU, GroupNorm, 1x1 convolution. No map of L channels is stored, in neither direction, and on a GPU none of M.

    Args:
        key: [N, D, H, W] with ratio; without, [N, D, h, w], which stands for its bilinear upsampling to H, W, with
            taps one of its pixels apart.
        query: [N, D, H, W].
        norm_weight: [D], of the normalisation of key and query; a bias would cancel.
        weight, bias: [L, D/groups, K, K] and [L] (any shape), of the difference.
        compress_weight, compress_bias: [M, L/groups] (or with two more dimensions of 1) and [M].
        hidden_weight, hidden_bias: [M], of the second normalisation.
        score_weight, score_bias: [S, M] (or with two more dimensions of 1) and [S].
        groups: of the difference and the first 1x1 convolution.
        norm_groups: of both normalisations; eps is 1e-5.
        ratio: (row high, row low, column high, column low): taps are high / low pixels apart, bilinear between
            pixels, replicate border.
        relu: between the difference and the first 1x1 convolution (the paper has none).
        blur: the key by the 3x3 Gaussian (sigma 1, replicate border) before anything else.
        keep_mib: on a CPU the M channels after their ReLU are kept between passes, and for the backward pass, where they
            take at most so many MiB in float32 (with M/groups as a multiple of 32), 0 .. 1023; otherwise each pass finds
            them anew, with the same bits. -1: 64, or 0 without a ratio, where finding them anew takes about as long.

    Returns:
        [N, S, H, W].
    """
    keep_mib = keep_mib if query.device.type in ("cpu", "meta") else 0
    block = (norm_weight, weight, bias, compress_weight, compress_bias)
    block += (hidden_weight, hidden_bias, score_weight, score_bias)
    return torch.ops.upwell.pcdc_scores(key, query, *block, groups, norm_groups, ratio, relu, blur, keep_mib)


def wrc_data(x: Tensor, response: Tensor) -> tuple[Tensor, Tensor]:
    """The data of weighted reverse convolution (WRC, arXiv 2605.17472).

    Args:
        x, response: [N, C, h, w].

    Returns:
        The weight of each sample, log1p(response^2), and the weighted sample: two [N, C, h, w].
    """
    return torch.ops.upwell.wrc_data(x, response)


def wrc_prior(x: Tensor, mixed: Tensor, lam: Tensor, scale: int) -> tuple[Tensor, Tensor]:
    """The prior of weighted reverse convolution: its precision log1p(u^2) + lam, with u a 3x3 convolution (zero border)
    of z, and precision * z, with z the bilinear upsampling (align_corners=True) of x. Mixing channels commutes with
    upsampling: it happens before, at low resolution.

    Args:
        x: [N, C, h, w].
        mixed: [N, C*9, h, w], the taps of a channel side by side, row-major: channel 9 c + 3 i + j is the 1x1
            convolution of x with weight[c, :, i, j] of the 3x3 one.
        lam: [C].
        scale: pixels per sample, at least 1.

    Returns:
        Two [N, C, scale*h, scale*w].
    """
    return torch.ops.upwell.wrc_prior(x, mixed, lam, scale)


@renamed(kernel="weight")
def wrc_exact(
    precision: Tensor,
    weighted: Tensor,
    data_weight: Tensor,
    data: Tensor,
    weight: Tensor,
    scale: int,
    tolerance: float = 1e-4,
    max_iterations: int = 100,
) -> Tensor:
    """The exact solution of weighted reverse convolution (arXiv 2605.17472): the X that minimises
    sum data_weight (A X - data)^2 + sum precision (X - weighted / precision)^2, with A X = X convolved with weight,
    at every scale-th pixel.

    It is found by conjugate gradients on a system of h w unknowns a plane; weights of at most scale x scale elements
    need no iteration. Gradients take one more solution of the same system.

    Args:
        precision, weighted: [N, C, scale h, scale w]; precision > 0.
        data_weight, data: [N, C, h, w]; data_weight >= 0. data: the samples without their weight.
        weight: [C, KH, KW], no larger than the image; centred on element (KH // 2, KW // 2), circular border.
        scale: pixels between samples.
        tolerance: the largest residual, relative to the right side, of any plane's system (of h w unknowns, scaled to
            a diagonal of 1) at which iterations end. 0: after exactly max_iterations, and nothing waits for a GPU.
        max_iterations: after so many there is a warning, and the result as it is.

    Returns:
        [N, C, scale h, scale w].
    """
    return torch.ops.upwell.wrc_exact(
        precision, weighted, data_weight, data, weight, scale, tolerance, max_iterations
    )


def sample_at_offsets(
    value: Tensor, offsets: Tensor, scale: int, groups: int = 1, high_res: bool = False
) -> Tensor:
    """Samples at learned offsets (DySample, arXiv 2308.15085): pixel p is the bilinear sample of value at
    p div scale + offset(p), clamped to the map: torch's grid_sample with padding_mode="border", align_corners=False.

    Positions are float32 (float64 for float64) whatever the dtype of value. A nan among the offsets makes nan of its pixel,
    and an infinite one stands for a border. Where a position is clamped its gradient is 0.

    Args:
        value: [N, C, h, w], groups dividing C.
        offsets: [N, 2*groups*scale*scale, h, w], in cells; channels are (x then y, group, sub-row, sub-column). Beside a
            value of 16 bits they may be float32.
        scale: pixels per cell, an integer of at least 1.
        groups: of channels, each with offsets of its own.
        high_res: offsets are [N, 2*groups, scale*h, scale*w], channels (x then y, group).

    Returns:
        [N, C, scale*h, scale*w].
    """
    return torch.ops.upwell.sample_at_offsets(value, offsets, scale, groups, high_res)


def index_unpool(value: Tensor, index: Tensor, scale: int = 1, groups: int = 1) -> Tensor:
    """Every pixel is its cell times its index (IndexNet, arXiv 1908.00672): value upsampled by nearest, times index, in
    one pass.

    Linear in each of the two, and differentiable any number of times.

    Args:
        value: [N, C, h, w], groups dividing C.
        index: [N, groups, H, W], any size; pixel p of H belongs to cell floor(p h/H). Beside a value of 16 bits it may be
            float32.
        scale: above 1 the index has the places of value, and their pixels are channels: [N, groups*scale*scale, h, w],
            channels (group, sub-row, sub-column), which pixel_shuffle would make the index of pixels.
        groups: of channels, each with an index of its own.

    Returns:
        [N, C, H, W]; with a scale [N, C, scale*h, scale*w].
    """
    return torch.ops.upwell.index_unpool(value, index, scale, groups)


def merge_kernels(large: Tensor, small: Tensor) -> Tensor:
    """A large kernel plus a small one at its centre.

    Args:
        large: [A, B, KH, KW].
        small: [A, B, kh, kw]; KH - kh and KW - kw are even and not negative.

    Returns:
        [A, B, KH, KW].
    """
    return torch.ops.upwell.merge_kernels(large, small)


def transposed_conv(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0,
    output_padding: int | Sequence[int] = 0,
    groups: int = 1,
) -> Tensor:
    """torch.nn.functional.conv_transpose2d without dilation, made for groups of few channels.

    Args:
        input: [N, C, h, w], groups dividing C.
        weight: [C, D/groups, KH, KW].
        bias: [D].
        stride, padding, output_padding: of rows and columns; output_padding is less than the stride.
        groups: of channels; an output channel reads the input channels of its group.

    Returns:
        [N, D, H, W] with H = (h - 1) stride - 2 padding + KH + output_padding, and W alike.
    """
    return torch.ops.upwell.transposed_conv(input, weight, bias, stride, padding, output_padding, groups)


@renamed(kernel="weight")
def wrc_spectral(
    precision: Tensor,
    weighted: Tensor,
    data_weight: Tensor,
    data: Tensor,
    weight: Tensor,
    scale: int,
    centre: str = "image",
) -> Tensor:
    """The published closed form of weighted reverse convolution (arXiv 2605.17472), by Fourier transforms.

    Args:
        precision: [N, C, H, W], H, W = scale times h, w: the weight of the prior, of each pixel.
        weighted: [N, C, H, W]: precision times the prior.
        data_weight: [N, C, h, w]: the weight of each sample.
        data: [N, C, h, w]: samples times their weight.
        weight: [C, K, K], no larger than the image.
        scale: 1 or more.
        centre: what the weight is rolled by half of: "image" (published) or "kernel", which is itself.

    Returns:
        [N, C, H, W].
    """
    return torch.ops.upwell.wrc_spectral(precision, weighted, data_weight, data, weight, scale, centre)


for _name in __all__:
    globals()[_name] = explained(globals()[_name])
