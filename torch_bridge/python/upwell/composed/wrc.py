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


def wrc_spectral_backward(d_output, spectrum, precision, data_weight, data, weight, scale, centre):
    with torch.enable_grad():
        half = torch.view_as_complex(spectrum.contiguous())
        given = (precision, half, data_weight, data, weight)
        output = wrc_spectral(*given, scale, centre)
    d_precision, d_half, *others = torch.autograd.grad(output, given, d_output, create_graph=True)
    columns = precision.shape[3]
    d_weighted = torch.fft.ifft2(F.pad(d_half, [0, columns - half.shape[3]]), norm="forward").real
    return d_precision, d_weighted, *others


def wrc_spectral(precision, spectrum, data_weight, data, weight, scale, centre) -> Tensor:
    """As `upwell.ops.wrc_spectral`, of data times their weight and the half spectrum of `weighted`.

    The mean over the frequencies congruent modulo the low-res size is the spectrum of every scale-th pixel. Weights of
    frequencies have no symmetry, but in a real map only their even parts remain.
    """
    H, W = precision.shape[2:]
    half = spectrum.shape[3]
    rows, columns = weight.shape[1:]
    down, right = (H, W) if centre == "image" else (rows, columns)
    kernel = F.pad(weight, [0, W - columns, 0, H - rows]).roll((-(down // 2), -(right // 2)), (1, 2))
    blur = torch.fft.rfft2(kernel)
    right_side = blur.conj() * _repeated(torch.fft.fft2(data), scale, half) + spectrum
    fitted = torch.fft.fft2(torch.fft.irfft2(blur * right_side, (H, W))[..., ::scale, ::scale])
    power = torch.fft.fft2(torch.fft.irfft2(blur * blur.conj(), (H, W))[..., ::scale, ::scale]).real
    whole = precision.unflatten(2, (scale, -1)).unflatten(4, (scale, -1)).mean((2, 4))
    share = (data_weight / (data_weight * power + whole)).repeat(1, 1, scale, scale)
    of_right_side, of_fitted = (_even(each / precision)[..., :half] for each in (1, share))
    model = blur.conj() * _repeated(fitted, scale, half)
    return torch.fft.irfft2(of_right_side * right_side - of_fitted * model, (H, W))


def _repeated(spectrum: Tensor, scale: int, half: int) -> Tensor:
    """The first columns, `half` of them, of a spectrum side by side with itself, scale x scale times."""
    columns = torch.arange(half, device=spectrum.device) % spectrum.shape[3]
    return spectrum.index_select(3, columns).repeat(1, 1, scale, 1)


def _even(x: Tensor) -> Tensor:
    """The mean of a map at a frequency and at its negative."""
    return (x + x.flip((2, 3)).roll((1, 1), (2, 3))) / 2


def _sampled(x: Tensor, weight: Tensor, scale: int) -> Tensor:
    """A x: x [N, C, H, W] convolved with weight [C, KH, KW], circular border, at every scale-th pixel."""
    rows, columns = weight.shape[1:]
    taps = (
        weight[:, i, j, None, None] * x.roll((i - rows // 2, j - columns // 2), (2, 3))[:, :, ::scale, ::scale]
        for i in range(rows)
        for j in range(columns)
    )
    return sum(taps)
