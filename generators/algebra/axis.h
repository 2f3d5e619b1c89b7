// One axis of the pixel grid as Halide expressions: which low-res cell a high-res pixel belongs to, and which
// pixels a cell has. Exact ratios are closed forms; every other size reads tables that the runtime fills with
// exact integer arithmetic.
#pragma once

#include "Halide.h"
#include "grid/window.h"

namespace upwell {

class Axis {
public:
    virtual ~Axis() = default;

    virtual Halide::Expr base(Halide::Expr p) const = 0;       // cell of pixel p
    virtual Halide::Expr fraction(Halide::Expr p) const = 0;   // of the way to the next cell, in [0, 1)
    virtual Halide::Expr first_tap(Halide::Expr p) const = 0;  // taps first..last stay inside the image
    virtual Halide::Expr last_tap(Halide::Expr p) const = 0;
    virtual Halide::Expr begin(Halide::Expr cell) const = 0;  // first pixel of a cell
    virtual Halide::Expr longest_cell() const = 0;            // pixels in the longest cell

    // Pixels per cell when every cell is alike, else 0.
    virtual int ratio() const { return 0; }
    // First pixel of cell 0 when every cell is alike; the pixels before it belong to cell -1.
    virtual int shift() const { return 0; }
    int first_cell() const { return shift() > 0 ? -1 : 0; }

    // The nearest pixel of the image; most are inside, and loops over those are made without the clamp.
    Halide::Expr pixel(Halide::Expr p) const { return Halide::clamp(Halide::likely(p), 0, high - 1); }

    Halide::Expr low;   // cells on this axis
    Halide::Expr high;  // pixels on this axis
    Halide::Type type;  // of the fraction
};

// high = ratio * low.
class ExactAxis : public Axis {
public:
    ExactAxis(const Taps &taps, int ratio, Halide::Expr low, Halide::Type type);

    Halide::Expr base(Halide::Expr p) const override;
    Halide::Expr fraction(Halide::Expr p) const override;
    Halide::Expr first_tap(Halide::Expr p) const override;
    Halide::Expr last_tap(Halide::Expr p) const override;
    Halide::Expr begin(Halide::Expr cell) const override;
    Halide::Expr longest_cell() const override { return ratio_; }
    int ratio() const override { return ratio_; }
    int shift() const override { return shift_; }

private:
    Taps taps;
    int ratio_, shift_;
};

// Any low and high. table: high x 3 (base, first tap, last tap); fraction: high; begin: from -margin to low + margin.
class TableAxis : public Axis {
public:
    TableAxis(Halide::Func table, Halide::Func fraction, Halide::Func begin, Halide::Expr longest_cell,
              Halide::Expr low, Halide::Expr high, Halide::Type type);

    // In range as the runtime fills it; the clamp tells Halide.
    Halide::Expr base(Halide::Expr p) const override { return Halide::clamp(table(pixel(p), 0), -1, low - 1); }
    Halide::Expr fraction(Halide::Expr p) const override { return fractions(pixel(p)); }
    Halide::Expr first_tap(Halide::Expr p) const override { return table(pixel(p), 1); }
    Halide::Expr last_tap(Halide::Expr p) const override { return table(pixel(p), 2); }
    Halide::Expr begin(Halide::Expr cell) const override { return begins(cell); }
    Halide::Expr longest_cell() const override { return longest; }

private:
    Halide::Func table, fractions, begins;
    Halide::Expr longest;
};

}  // namespace upwell
