"""Weighted reverse convolution (arXiv 2605.17472)."""

import torch
import torch.nn.functional as F
from torch import Tensor


def wrc_data(x: Tensor, response: Tensor) -> tuple[Tensor, Tensor]:
    """As `upwell.ops.wrc_data`."""
    weight = response.square().log1p()
    return weight, weight * x


def wrc_prior(x: Tensor, mixed: Tensor, lam: Tensor, scale: int) -> tuple[Tensor, Tensor]:
    """As `upwell.ops.wrc_prior`."""
    z, maps = (F.interpolate(each, scale_factor=scale, mode="bilinear", align_corners=True) for each in (x, mixed))
    H, W = z.shape[2:]
    taps = F.pad(maps, [1] * 4).unflatten(1, (-1, 9))
    u = sum(taps[:, :, 3 * i + j, i : i + H, j : j + W] for i in range(3) for j in range(3))
    precision = u.square().log1p() + lam[:, None, None]
    return precision, precision * z


def wrc_exact_backward(d_output, output, precision, data_weight, data, weight, scale, tolerance, max_iterations):
    """By the implicit function theorem: one more solution, with the gradient as its right side and no data, and A, which
    is linear in the map and in the weight."""
    solve = torch.ops.upwell.wrc_exact
    nothing = torch.zeros_like(data)
    adjoint = solve(precision, d_output, data_weight, nothing, weight, scale, tolerance, max_iterations)
    with torch.enable_grad():
        kernel = weight.view_as(weight)
        of_output, of_adjoint = _sampled(output, kernel, scale), _sampled(adjoint, kernel, scale)
    misfit = data - of_output
    # Of the objective's derivative, <adjoint, A' W (data - A X) - P X + weighted>, by the weight.
    d_weight = torch.autograd.grad(
        (of_adjoint, of_output), kernel, (data_weight * misfit, -data_weight * of_adjoint), create_graph=True
    )[0]
    return -adjoint * output, adjoint, of_adjoint * misfit, data_weight * of_adjoint, d_weight


def wrc_spectral(precision, weighted, data_weight, data, weight, scale, centre) -> Tensor:
    """As `upwell.ops.wrc_spectral`, of data times their weight."""
    size = precision.shape[2:]
    rows, columns = weight.shape[1:]
    down, right = size if centre == "image" else (rows, columns)
    kernel = F.pad(weight, [0, size[1] - columns, 0, size[0] - rows]).roll((-(down // 2), -(right // 2)), (1, 2))
    blur = torch.fft.fft2(kernel)
    samples = torch.fft.fft2(data).repeat(1, 1, scale, scale)  # of a map with zeros between them
    right_side = blur.conj() * samples + torch.fft.fft2(weighted)
    aliased = _folded(blur * right_side, scale) * data_weight
    whole = data_weight * _folded(blur.abs().square(), scale) + _folded(precision, scale)
    return torch.fft.ifft2((right_side - blur.conj() * (aliased / whole).repeat(1, 1, scale, scale)) / precision).real


def _folded(x: Tensor, scale: int) -> Tensor:
    """The mean of the scale x scale blocks that x consists of."""
    return x.unflatten(-2, (scale, -1)).unflatten(-1, (scale, -1)).mean((-4, -2))


def _sampled(x: Tensor, weight: Tensor, scale: int) -> Tensor:
    """A x: x [N, C, H, W] convolved with weight [C, KH, KW], circular border, at every scale-th pixel."""
    rows, columns = weight.shape[1:]
    taps = (
        weight[:, i, j, None, None] * x.roll((i - rows // 2, j - columns // 2), (2, 3))[:, :, ::scale, ::scale]
        for i in range(rows)
        for j in range(columns)
    )
    return sum(taps)
