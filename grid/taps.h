// What an operator of the reassembly family reads: its taps.
#pragma once

#include <compare>

namespace upwell {

// Where the step between two taps is measured: one low-res cell either way, but on Grid::HighRes a tap is
// a high-res pixel (one ratio away from its neighbour) and on Grid::LowRes it is a low-res one.
enum class Grid { LowRes, HighRes };

// How a tap that falls between low-res cells is read.
enum class Sampling { Nearest, Bilinear };

// What a tap outside the image is: the nearest edge value, zero, or no tap at all (it leaves the softmax).
enum class Border { Replicate, Zero, Masked };

// kernel x kernel taps, row-major, centred on the pixel, one low-res cell apart on each axis.
struct Taps {
    int kernel;  // taps per side, odd
    Grid grid;
    Sampling sampling;
    Border border;

    int count() const { return kernel * kernel; }
    int radius() const { return (kernel - 1) / 2; }
    auto operator<=>(const Taps &) const = default;
};

}  // namespace upwell
