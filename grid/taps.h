// What an operator of the reassembly family reads: its taps.
#pragma once

#include <array>
#include <compare>
#include <cstdint>

namespace upwell {

// Coefficients of 1, f, f^2, f^3.
using Polynomial = std::array<double, 4>;

// Where the step between two taps is measured: one low-res cell either way, but on Grid::HighRes a tap is
// a high-res pixel (one ratio away from its neighbour) and on Grid::LowRes it is a low-res one.
enum class Grid { LowRes, HighRes };

// How a tap that falls between low-res cells is read along an axis. A further way is a further value.
struct Sampling {
    // Positions are those of pixel centres among cell centres, and f is the fraction of the way to the next cell; else
    // a pixel lies in its cell, and f is 0.
    bool between_cells;
    int first;  // offset of the first cell that is read from the one at the position
    int cells;
    std::array<Polynomial, 4> weights;  // of these cells, in terms of f

    static const Sampling Nearest, Bilinear, Bicubic;

    // Whether a pixel that lies on a cell has the value of that one alone.
    bool interpolates() const {
        bool only_that_one = first <= 0 && -first < cells;
        for (int cell = 0; cell < cells; cell++) {
            only_that_one = only_that_one && weights[cell][0] == (first + cell == 0 ? 1 : 0);
        }
        return only_that_one;
    }

    auto operator<=>(const Sampling &) const = default;
};

inline constexpr Sampling Sampling::Nearest{false, 0, 1, {{{1, 0, 0, 0}}}};
inline constexpr Sampling Sampling::Bilinear{true, 0, 2, {{{1, -1, 0, 0}, {0, 1, 0, 0}}}};
// Cubic convolution (Keys, 1981) with a = -3/4, as torch's interpolate has it.
inline constexpr Sampling Sampling::Bicubic{
    true, -1, 4, {{{0, -0.75, 1.5, -0.75}, {1, 0, -2.25, 1.25}, {0, 0.75, 1.5, -1.25}, {0, 0, -0.75, 0.75}}}};

// What a tap outside the image is: the nearest edge value, zero, no tap at all (it leaves the softmax), or what a
// mirror in the edge cell shows: c b | a b c | b a. Inside: near an edge all taps of a pixel move by whole cells until
// none is outside (NATTEN); those beyond a map that has fewer cells than a side has taps are masked.
enum class Border { Replicate, Zero, Masked, Reflect, Inside };

struct Offset {
    int row, column;  // from the pixel's own place, in steps between taps

    auto operator<=>(const Offset &) const = default;
};

// Taps at some places of a square alone, in an order of their own.
struct OffsetList {
    static constexpr int most = 81, farthest = 6;

    int count = 0;  // 0: at every place, row-major
    std::array<Offset, most> offsets{};

    auto operator<=>(const OffsetList &) const = default;
};

// Taps in a square of kernel x kernel places, centred on the pixel, one low-res cell apart on each axis.
struct Taps {
    int kernel;  // places per side, odd
    Grid grid;
    Sampling sampling;
    Border border;
    OffsetList listed{};

    int count() const { return listed.count > 0 ? listed.count : kernel * kernel; }
    int radius() const { return (kernel - 1) / 2; }
    // A tap's place in the square.
    int row(int tap) const { return listed.count > 0 ? listed.offsets[tap].row + radius() : tap / kernel; }
    int column(int tap) const { return listed.count > 0 ? listed.offsets[tap].column + radius() : tap % kernel; }
    // The tap at a place; -1: there is none.
    int at(int row, int column) const {
        for (int tap = 0; tap < listed.count; tap++) {
            if (this->row(tap) == row && this->column(tap) == column) {
                return tap;
            }
        }
        return listed.count > 0 ? -1 : row * kernel + column;
    }
    // That of the pixel's own place; -1: there is none.
    int central() const { return at(radius(), radius()); }
    auto operator<=>(const Taps &) const = default;
};

}  // namespace upwell
