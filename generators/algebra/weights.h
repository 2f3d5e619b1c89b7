// Weights of a pixel: normalised over the taps, lowered to the window, and both transposed.
#pragma once

#include "algebra/axis.h"
#include "language/window.h"

#include <functional>
#include <memory>

namespace upwell {

// An operator of the reassembly family, as its author states it.
struct Operator {
    Taps taps;
    Normaliser normaliser;
    // The softmax of a nan is a nan. False: only for Halide's own derivative, which ends where bits are looked at.
    bool keeps_nan = true;

    bool has_weights() const { return normaliser != Normaliser::Constant; }
};

// The stages of a pixel's weights, by name, for a schedule to place.
struct Weights {
    Halide::Func peak;           // x, y, n          largest logit (softmax only)
    Halide::Func exponential;    // x, y, tap, n     exp(logit - peak), 0 for a masked tap (softmax only)
    Halide::Func inverse_total;  // x, y, n        1 / sum of exponentials (softmax only)
    Halide::Func row;            // x, y, jx, iy, n  lowered along columns
    Halide::Func window;         // x, y, jx, jy, n  lowered along both axes: W_j(p)
};

// x, y: axes of the pixels. logits: x, y, tap, n; undefined for a Constant normaliser.
Weights window_weights(const Operator &op, const Axis &columns, const Axis &rows, Halide::Func logits);

// Of an operator without weights, what window cell `cell` has along one axis: W_j(p) is the product of both.
Halide::Expr axis_weight(const AxisWindow &window, const Axis &axis, Halide::Expr pixel, Halide::Expr cell);

// Window weights with the border folded in: a cell outside the image gives its weight to the edge cell, so that
// sum_j folded_j(p) x[base + j] over the cells inside is exact; a mirror gives it to the cell that it shows. (With a
// zero border, and where taps move inside, they have no weight to give.)
// Rows outside the image have weight 0.
struct FoldedWeights {
    Halide::Func along_x;  // x, y, jx, jy, n: the border's columns folded
    Halide::Func window;   // x, y, jx, jy, n
};
FoldedWeights fold_border(const Operator &op, const Axis &columns, const Axis &rows, Halide::Func window);

// One axis of it, of whatever is linear in the weights: cell j of a pixel whose base cell is base.
Halide::Expr fold(const Taps &taps, const Axis &axis, const AxisWindow &window, Halide::Expr base, Halide::Var j,
                  const std::function<Halide::Expr(int)> &weight);

// Whether cells outside the map have no weight, rather than to give it to others.
bool is_empty_outside(const Taps &taps);

// The cell of the map, of `length`, that stands at a place of a window, inside or outside.
Halide::Expr place_of_cell(const Taps &taps, const AxisWindow &window, Halide::Expr position, Halide::Expr length);

// The transpose of window_weights: gradient of the window's weights -> gradient of the operator's input.
// d_window: x, y, jx, jy, n. Result: x, y, tap, n.
struct WeightsBackward {
    Halide::Func d_row;    // x, y, jx, iy, n: gradient of the weights lowered along columns
    Halide::Func d_tap;    // x, y, tap, n: gradient of the normalised weights
    Halide::Func inner;    // x, y, n: sum over taps of weight * d_tap (softmax only)
    Halide::Func d_input;  // x, y, tap, n
};
WeightsBackward window_weights_backward(const Operator &op, const Axis &columns, const Axis &rows,
                                        const Weights &weights, Halide::Func d_window);

}  // namespace upwell
