#include "algebra/axis.h"

#include "grid/position.h"

namespace upwell {

using namespace Halide;
using Internal::make_const, Internal::make_zero;

ExactAxis::ExactAxis(const Taps &taps, int ratio, Expr low, Type type)
    : taps(taps), ratio_(ratio), shift_(phase_shift(taps.sampling, ratio)) {
    this->low = low;
    this->high = low * ratio;
    this->type = type;
}

Expr ExactAxis::base(Expr p) const {
    return (p - shift_) / ratio_;
}

Expr ExactAxis::fraction(Expr p) const {
    if (!taps.sampling.between_cells) {
        return make_zero(type);
    }
    // Pixel 0 of a cell has the phase of p = shift; one pixel is 1 / ratio of a cell.
    const double phase_0 = position(taps.sampling, shift_, 1, ratio_).fraction;
    return (cast(type, (p - shift_) % ratio_) + make_const(type, phase_0 * ratio_)) * make_const(type, 1.0 / ratio_);
}

Expr ExactAxis::first_tap(Expr p) const {
    if (taps.border != Border::Masked) {
        return 0;
    }
    // The smallest tap with 0 <= p + (tap - radius) step, in the pixels of the grid that the taps live on; between cells
    // the smallest in their area, from half a cell before the first.
    const Expr before = taps.grid == Grid::HighRes       ? p / ratio_
                        : taps.sampling.between_cells ? (2 * p + 1) / (2 * ratio_)
                                                      : base(p);
    return max(0, taps.radius() - before);
}

Expr ExactAxis::last_tap(Expr p) const {
    if (taps.border != Border::Masked) {
        return taps.kernel - 1;
    }
    const Expr room = taps.grid == Grid::HighRes       ? (high - 1 - p) / ratio_
                      : taps.sampling.between_cells ? low - (2 * p + 2 * ratio_) / (2 * ratio_)
                                                    : low - 1 - base(p);
    return min(taps.kernel - 1, taps.radius() + room);
}

Expr ExactAxis::begin(Expr cell) const {
    return cell * ratio_ + shift_;
}

TableAxis::TableAxis(Func table, Func fraction, Func begin, Expr longest_cell, Expr low, Expr high, Type type)
    : table(table), fractions(fraction), begins(begin), longest(longest_cell) {
    this->low = low;
    this->high = high;
    this->type = type;
}

}  // namespace upwell
