// A softmax over the maps of a pixel's taps, times a factor of each tap, divided by its sum: the weights of a bilateral
// filter, whose range kernel is a softmax. Of pixel p and tap t, with e_t = exp(score_t - largest):
//     weight_t = e_t factor_t / max(sum over k of e_k factor_k, least sum over k of e_k)
// and its gradients. All factors 1: the softmax.
#pragma once

#include "Halide.h"

namespace upwell::scaled_softmax {

inline const Halide::Var x("x"), y("y"), t("t"), n("n");

constexpr double least = 1e-7;  // of the sum over taps of softmax times factor, as published

struct Problem {
    Halide::Func scores, factors;  // x, y, t, n; t
    Halide::Expr count;            // taps
};

struct Weights {
    explicit Weights(const Problem &p);

    Halide::Func given;                                // scores, kept while all taps of a pixel are looked at
    Halide::Func largest, exponentials, sums, output;  // sums: of exponentials, and of them times factors
    Halide::RDom each;
};

struct Gradients {
    // d_weights: x, y, t, n.
    Gradients(const Problem &p, Halide::Func d_weights);

    Weights weights;      // of which it takes all but the output
    Halide::Func given;   // x, y, t, n: d_weights
    Halide::Func mean;    // x, y, n: of d_weights, by the weights
    Halide::Func output;  // x, y, t, n: of scores, and of factors by this pixel
};

}  // namespace upwell::scaled_softmax
