// The prior of weighted reverse convolution (arXiv 2605.17472), plane by plane, and its adjoint. With up(.) bilinear,
//     z = up(x)    u(p) = sum over the taps d of up(mixed of d)(p + d), 0 outside    precision = log1p(u^2) + lam
// and the output is precision and precision z. up is taken apart: first along x, where the three taps of a row of taps
// add up, then along y. A class holds the stages by name, so that a schedule can place them.
#pragma once

#include "algebra/linear.h"

namespace upwell {

inline constexpr int wrc_taps = 9;
inline constexpr int wrc_parts = 5;  // of an adjoint's d_widened: three rows of taps, z, lam

// A pixel p = lower(p) + fraction(p) in cells. What reads a cell are pixels one after the other.
struct WrcAxis {
    LinearAxis reads;
    Halide::Func first;   // of the pixels that read a cell; the adjoint's, as are the next two
    Halide::Func weight;  // of the i-th of them (i, cell), 0 beyond the last
    Halide::Expr count;   // of i
};

struct WrcPriorProblem {
    Halide::Func value;  // x (cells), y, c: what is upsampled
    Halide::Func mixed;  // x (cells), y, tap, c
    Halide::Func lam;    // c
    WrcAxis columns, rows;
    Halide::Type type;
    Form form = Form::Scan;
};

// What both directions start from.
struct WrcPriorMaps {
    explicit WrcPriorMaps(const WrcPriorProblem &problem);

    Halide::Func widened;  // x, y (cells), c: of each row of taps their sum along x, and x itself
    // A scan's: the cells of a block of pixels and their neighbours, one after the other, each given to all of them, so
    // that no pixel looks up a cell of its own. cell_weights: x, cell of the block, column of taps.
    static constexpr int block = 16;
    Halide::RDom cells;
    Halide::Func cell_weights;
    Halide::Func u, z;  // x, y, c
    Halide::Func precision;

private:
    void widen_by_pixels(const WrcPriorProblem &problem);
    void widen_by_blocks(const WrcPriorProblem &problem);
};

struct WrcPrior {
    explicit WrcPrior(const WrcPriorProblem &problem);

    WrcPriorProblem problem;
    WrcPriorMaps maps;
    Halide::Func output;  // x, y, c: precision, weighted
};

// d_precision, d_weighted: x, y, c. Nothing else is kept from the forward direction.
struct WrcPriorBackward {
    WrcPriorBackward(const WrcPriorProblem &problem, Halide::Func d_precision, Halide::Func d_weighted);

    WrcPriorProblem problem;
    WrcPriorMaps maps;
    Halide::Func d_pixels;   // x, y, c: gradient of u, z and lam at a pixel
    Halide::RDom pixel;      // of a column; a scan's: side, part, pixel
    Halide::Func d_widened;  // x, y (cells), part, c: of each row of taps, of z and of lam, the sum along y
    Halide::RDom cell;       // of a column
    Halide::Func lam_rows;   // x, c: of lam, summed along y
    Halide::RDom column;
    Halide::Func lam_sum;    // c: along x too
    Halide::RDom read;       // of a cell, along x
    Halide::Func value_sum;  // x, y (cells), c: the sum along x too
    Halide::Func mixed_sum;  // x, y (cells), tap, c
    Halide::Func d_value, d_mixed, d_lam;
};

}  // namespace upwell
