// The compiler's first pass: taps -> window.
//
// With static offsets a tap's value is linear in the low-res map, so
//     sum_i w_i value_i(p) = sum_j W_j x[base(p) + j],   W = transpose(L(phase(p))) w,
// j over a small window of low-res cells. L is a product of one matrix per axis, and its entries are
// polynomials of the phase: the fraction f in [0, 1) by which the pixel lies past its base cell.
#pragma once

#include "taps.h"

#include <vector>

namespace upwell {

double evaluate(const Polynomial &polynomial, double fraction);

// One axis of the window of a tap set.
struct AxisWindow {
    int first;                                       // offset of the first cell from the base cell
    int size;                                        // cells
    std::vector<std::vector<Polynomial>> tap_cells;  // [tap][cell] -> weight: L along this axis

    int last() const { return first + size - 1; }

    // Whether the last cell has no weight where the fraction is 0.
    bool last_is_between() const;
};

// Throws std::invalid_argument when the kernel is not odd and positive.
AxisWindow lower(const Taps &taps);

}  // namespace upwell
