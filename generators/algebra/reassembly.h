// The window kernel and its two transposes: one algorithm for every operator of the family.
//     output(p, c)   = sum_j W_j(p) x(base(p) + j, c)
//     d_value(l, c)  = sum over pixels p with base(p) + j = l of W_j(p) d_output(p, c)
//     d_weight_j(p)  = sum_c d_output(p, c) x(base(p) + j, c)
// All three gather. A class holds the stages by name, so that a schedule can place them.
#pragma once

#include "weights.h"

namespace upwell {

// What every direction starts from.
struct Problem {
    Operator op;
    AxisWindow window;
    std::shared_ptr<const Axis> columns, rows;
    Halide::Type type;
    Halide::Expr channels, samples;

    // Every low-res cell has the same ratio x ratio pixels: high-res columns can be expanded once and read shifted.
    bool exact() const { return columns->ratio() > 0 && rows->ratio() > 0; }
};

// value, d_output: x, y, c, n. logits: x, y, tap, n.
struct Reassembly {
    Reassembly(const Problem &problem, Halide::Func value, Halide::Func logits);

    Problem problem;
    Weights weights;
    Halide::Func spread;  // exact: low-res rows expanded to high-res columns, x, y (low-res), c, n
                          // else: the low-res map with channels first, c, x, y, n (both low-res)
    Halide::RDom window;  // jx, jy
    Halide::Func sum;     // exact: x, row, cell, c, n; else c, x, y, n
    Halide::RDom pixels;  // exact only: row in cell, cell, sample
    Halide::Func output;  // x, y, c, n; exact: its update goes through the rows cell by cell
};

struct ReassemblyValueAdjoint {
    ReassemblyValueAdjoint(const Problem &problem, Halide::Func logits, Halide::Func d_output);

    Problem problem;
    Weights weights;
    FoldedWeights folded;
    Halide::Func gradient;  // exact: d_output, its edge repeated, x, y, c, n; else channels first: c, x, y, n
    Halide::RDom pixels;    // exact: row in cell, jy; else column in cell, row in cell, jx, jy
    Halide::Func partial;   // exact only: x, y (low-res), jx, c, n: summed over the rows of a window column
    Halide::Func padded;    // exact only: partial with zeros left and right of the image
    Halide::RDom pixel_columns;
    Halide::Func gathered;  // exact only: x, y (low-res), c, n: summed over window columns; cell x is ratio x ...
    Halide::RDom columns;   // exact only: column in cell
    Halide::Func sum;       // exact: x, y, c, n; else c, x, y, n
    Halide::Func output;    // x, y, c, n
};

struct ReassemblyWeightAdjoint {
    ReassemblyWeightAdjoint(const Problem &problem, Halide::Func value, Halide::Func logits, Halide::Func d_output);

    Problem problem;
    Weights weights;
    Halide::Func spread;    // as in Reassembly
    Halide::Func gradient;  // else only: d_output with channels first
    Halide::RDom channel;   // c
    Halide::Func d_cell;    // exact only: x, row, cell, jx, jy, n
    Halide::Func d_window;  // x, y, jx, jy, n
    WeightsAdjoint adjoint;
    Halide::RDom pixels;  // exact only: row in cell, cell, sample
    Halide::Func output;  // x, y, tap, n; exact: its update goes through the rows cell by cell
};

}  // namespace upwell
