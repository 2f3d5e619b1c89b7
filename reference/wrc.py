"""Weighted reverse convolution (arXiv 2605.17472) in torch operations: the layer as it was published, part by part, and
the problem that it states as matrices.

x [N, C, h, w] is the padded map, s the scale, H, W = s h, s w; kernel [C, K, K].
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def data(x: Tensor, response: Tensor) -> tuple[Tensor, Tensor]:
    """The weight log1p(response^2) of each sample, and the weighted sample."""
    weight = torch.log1p(response**2)
    return weight, weight * x


def prior(x: Tensor, mixed: Tensor, lam: Tensor, scale: int) -> tuple[Tensor, Tensor]:
    """precision = log1p(u^2) + lam and precision * z, with z = up(x), bilinear with align_corners=True, and u the sum over
    the nine taps d of a 3x3 convolution of up(mixed of d), read at p + d, zero outside.

    mixed [N, C * 9, h, w], the taps of a channel side by side, row-major: mixed[:, c * 9 + 3 (dy + 1) + (dx + 1)] is the
    1x1 convolution of x with the weights of tap d of output channel c, so that u = conv3x3(up(x)). lam [C].
    """
    n, c, h, w = x.shape
    z, maps = upsample(x, scale), upsample(mixed, scale)
    taps = F.pad(maps, [1, 1, 1, 1]).unflatten(1, (c, 9))
    H, W = z.shape[2:]
    u = sum(taps[:, :, 3 * dy + dx, dy : dy + H, dx : dx + W] for dy in range(3) for dx in range(3))
    precision = torch.log1p(u**2) + lam.view(-1, 1, 1)
    return precision, precision * z


def mix(x: Tensor, weight: Tensor) -> Tensor:
    """What prior takes as mixed, of a 3x3 convolution's weight [C, C_in, 3, 3]."""
    return F.conv2d(x, weight.permute(0, 2, 3, 1).reshape(-1, weight.shape[1], 1, 1))


def upsample(x: Tensor, scale: int) -> Tensor:
    if scale == 1:
        return x
    return F.interpolate(x, scale_factor=scale, mode="bilinear", align_corners=True)


def spectral(
    precision: Tensor, weighted: Tensor, data_weight: Tensor, data: Tensor, kernel: Tensor, scale: int, centre: str = "image"
) -> Tensor:
    """The published closed form [N, C, H, W]. data: samples times their weight; centre: what the kernel's spectrum is
    rolled by half of, "image" (published) or "kernel".
    """
    h, w = data.shape[2:]
    size = (h * scale, w * scale)
    spread = data.new_zeros(*data.shape[:2], *size)
    spread[..., ::scale, ::scale] = data
    B = torch.fft.fftn(place(kernel, size, centre), dim=(-2, -1))
    R = B.conj() * torch.fft.fftn(spread, dim=(-2, -1)) + torch.fft.fftn(weighted, dim=(-2, -1))
    folded = data_weight * fold(B * R, scale)
    M = folded / (data_weight * fold(B.abs() ** 2, scale) + fold(precision, scale))
    X = (R - B.conj() * M.repeat(1, 1, scale, scale)) / precision
    return torch.fft.ifftn(X, dim=(-2, -1)).real


def place(kernel: Tensor, size: tuple[int, int], centre: str) -> Tensor:
    """kernel at the top left of a zero image, rolled by minus half the image or minus half the kernel."""
    rows, columns = kernel.shape[-2:]
    image = F.pad(kernel, [0, size[1] - columns, 0, size[0] - rows])
    by = size if centre == "image" else (rows, columns)
    return image.roll((-(by[0] // 2), -(by[1] // 2)), (-2, -1))


def fold(a: Tensor, scale: int) -> Tensor:
    """The mean of the s x s blocks of size h x w."""
    h, w = a.shape[-2] // scale, a.shape[-1] // scale
    return a.unflatten(-2, (scale, h)).unflatten(-1, (scale, w)).mean((-4, -2))


def sample(x: Tensor, kernel: Tensor, scale: int) -> Tensor:
    """A x: x [N, C, H, W] blurred (circular border, centred on element (K // 2, K // 2)), then every s-th pixel."""
    K = kernel.shape[-1]
    blurred = sum(
        kernel[:, a, b, None, None] * x.roll((a - K // 2, b - K // 2), (-2, -1)) for a in range(K) for b in range(K)
    )
    return blurred[..., ::scale, ::scale]


def sampling_matrix(kernel: Tensor, h: int, w: int, scale: int) -> Tensor:
    """A of every channel as a matrix [C, h w, H W]."""
    pixels = (h * scale) * (w * scale)
    basis = torch.eye(pixels, dtype=kernel.dtype).view(pixels, 1, h * scale, w * scale)
    columns = sample(basis.expand(-1, len(kernel), -1, -1), kernel, scale)
    return columns.flatten(2).permute(1, 2, 0)


def exact(
    precision: Tensor, weighted: Tensor, data_weight: Tensor, data: Tensor, kernel: Tensor, scale: int
) -> Tensor:
    """The X of (A' W A + P) X = A' W data + weighted, by dense linear algebra: for small maps. data: samples without
    their weight; A' the transpose of A, P and W diagonal with precision and data_weight.
    """
    n, c, h, w = data.shape
    A = sampling_matrix(kernel, h, w, scale)
    At = A.transpose(1, 2)
    normal = At @ (data_weight.flatten(2)[..., None] * A) + torch.diag_embed(precision.flatten(2))
    right = (At @ (data_weight * data).flatten(2)[..., None])[..., 0] + weighted.flatten(2)
    # Plane by plane: LAPACK over a batch, on several threads, has been seen to hang.
    planes = zip(normal.flatten(0, 1), right.flatten(0, 1))
    return torch.stack([torch.linalg.solve(*plane) for plane in planes]).view_as(precision)


def objective(X: Tensor, precision: Tensor, weighted: Tensor, data_weight: Tensor, data: Tensor, kernel: Tensor, scale: int):
    """What WRC minimises: sum W (A X - data)^2 + sum P (X - weighted / P)^2."""
    misfit = sample(X, kernel, scale) - data
    return (data_weight * misfit**2).sum() + (precision * (X - weighted / precision) ** 2).sum()


def residual(X: Tensor, precision: Tensor, weighted: Tensor, data_weight: Tensor, data: Tensor, kernel: Tensor, scale: int):
    """The norm of the normal equations' residual, relative to that of their right side."""
    A = sampling_matrix(kernel, *data.shape[2:], scale)

    def transposed(y: Tensor) -> Tensor:
        return (A.transpose(1, 2) @ y.flatten(2)[..., None])[..., 0].view_as(X)

    right = transposed(data_weight * data) + weighted
    return (transposed(data_weight * sample(X, kernel, scale)) + precision * X - right).norm() / right.norm()


def layer(x: Tensor, module, solve) -> Tensor:
    """The whole layer with the parameters of an `upwell.nn.WRC`; solve: spectral or exact, with its centre bound.

    The 3x3 convolution of the upsampled map is one here, as published.
    """
    s, pad = module.scale, module.padding
    x = F.pad(x, [pad] * 4, mode=module.padding_mode) if pad else x
    weight = torch.log1p(F.conv2d(x, module.w_conv_low.weight, padding=1) ** 2)
    z = upsample(x, s)
    precision = torch.log1p(F.conv2d(z, module.w_conv_high.weight, padding=1) ** 2) + F.softplus(module.bias) + module.eps
    samples = x if solve is exact else weight * x
    out = solve(precision, precision * z, weight, samples, module.weight[0], s)
    return out[..., s * pad : out.shape[-2] - s * pad, s * pad : out.shape[-1] - s * pad]
