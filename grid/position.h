// Where high-res pixels lie among low-res cells. Exact: integer arithmetic until the last division.
#pragma once

#include <cstdint>

#include "taps.h"

namespace upwell {

// The low-res cell below (or at) a position, and the fraction of the way to the next, in [0, 1).
struct Position {
    int64_t base;
    double fraction;
};

// a / b for b > 0, rounded down.
int64_t floor_divide(int64_t a, int64_t b);
int64_t ceil_divide(int64_t a, int64_t b);

// Of pixel p of `high` among `low` cells: its centre, u(p) = (p + 1/2) low / high - 1/2 (align_corners = False), for a
// sample between cells; else the cell it is in, p low / high, without a fraction.
Position position(const Sampling &sampling, int64_t p, int64_t low, int64_t high);

// The same with 1 / scale in place of low / high, in torch's arithmetic: centres in float32 or float64, cells in
// float32 always. Never outside -1 .. low - 1, where the border repeats.
Position position_by_scale(const Sampling &sampling, int64_t p, int64_t low, double scale, bool in_float64);

// How far the first pixel of a cell lies from ratio * cell, for an integer ratio: base(p) = floor((p - phase_shift) /
// ratio).
int phase_shift(const Sampling &sampling, int ratio);

}  // namespace upwell
