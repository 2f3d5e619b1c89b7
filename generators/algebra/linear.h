// Linear interpolation along one axis by tables, and its transpose. A pixel reads a cell and the next one,
// value(p) = (1 - fraction(p)) cell(lower(p)) + fraction(p) cell(lower(p) + 1), the last cell repeated.
#pragma once

#include "Halide.h"
#include "algebra/form.h"

namespace upwell {

struct LinearAxis {
    // side 0: the cell at or before the pixel, 1: the one after it.
    Halide::Expr cell(Halide::Expr pixel, Halide::Expr side) const;
    Halide::Expr weight(Halide::Expr pixel, Halide::Expr side) const;

    Halide::Func lower;     // int32, one place a pixel
    Halide::Func fraction;  // one place a pixel, in [0, 1]
    Halide::Expr low;       // cells
    Halide::Expr high;      // pixels
    Form form = Form::Scan;
};

// cells(..., i, ...) -> pixels(..., p, ...) along a dimension. Values may be tuples.
Halide::Func interpolate(const std::string &name, Halide::Func cells, int dimension, const LinearAxis &axis);

// <interpolate(v), g> = <v, interpolate_transpose(g)>. As a scan, pixels give to their cells one after the other; as a
// gather, a cell takes from the pixels that read it, for which `lower` may not decrease. No atomics, and the same bits
// for any number of threads.
struct LinearTranspose {
    Halide::Func sum;
    Halide::RDom pixels;  // side, pixel; a gather's: pixel
    Halide::Func first;   // a gather's: the first pixel at or after a cell
};
LinearTranspose interpolate_transpose(const std::string &name, Halide::Func pixels, int dimension,
                                      const LinearAxis &axis);

}  // namespace upwell
