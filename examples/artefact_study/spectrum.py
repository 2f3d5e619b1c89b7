"""Spectra of photographs, and how much of them lies where only a grid of pixels can put it."""

import math

import torch
from torch import Tensor

SIDE = 128  # px of a window; a multiple of STRIDE, so that the grid's frequencies are bins
HOP = 64  # px between windows
LUMINANCE = (0.299, 0.587, 0.114)
DECIBEL = 20 / math.log(10)
AROUND = 4  # bins on each side of a grid frequency that it is compared with
WIDTH = 1  # bins on each side that the window function spreads a line over


def mean_log_magnitude(pictures: list[Tensor]) -> Tensor:
    """pictures [1, 3, H, W] -> [SIDE, SIDE], dB, frequency 0 in the middle: the mean over windows (Hann) of the
    luminance's log-magnitude spectrum."""
    profile = torch.hann_window(SIDE)
    window = profile[:, None] * profile
    spectra = []
    for picture in pictures:
        grey = torch.einsum("c,chw->hw", torch.tensor(LUMINANCE), picture[0])
        patches = grey.unfold(0, SIDE, HOP).unfold(1, SIDE, HOP).flatten(0, 1)
        patches = (patches - patches.mean((1, 2), keepdim=True)) * window
        spectra.append(DECIBEL * (torch.fft.fft2(patches).abs() + 1e-6).log())
    return torch.fft.fftshift(torch.cat(spectra).mean(0))


def grid_peaks(spectrum: Tensor, stride: int) -> tuple[float, float]:
    """The spectrum, in dB, at the frequencies of a grid of some px other than 0, on average: as it is, and over its
    surroundings."""
    step = SIDE // stride
    extended = torch.cat([torch.cat([spectrum] * 2, 0)] * 2, 1)  # periodic
    peaks = []
    for row in range(0, SIDE, step):
        for column in range(0, SIDE, step):
            if (row, column) != (SIDE // 2, SIDE // 2):
                r, c = (place + SIDE if place < AROUND else place for place in (row, column))
                patch = extended[r - AROUND : r + AROUND + 1, c - AROUND : c + AROUND + 1]
                inner = torch.zeros_like(patch, dtype=torch.bool)
                inner[AROUND - WIDTH : AROUND + WIDTH + 1, AROUND - WIDTH : AROUND + WIDTH + 1] = True
                peaks.append(torch.stack([patch[inner].max(), patch[inner].max() - patch[~inner].median()]))
    height, prominence = torch.stack(peaks).mean(0).tolist()
    return height, prominence
