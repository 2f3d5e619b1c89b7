// Sums of products of small tensors: what prepares the arguments of large kernels, and takes their results apart.
#pragma once

#include <vector>

#include "Halide.h"

namespace upwell {

// output(i) = offset(i) + factor sum_r left(i, r) right(i, r) for up to 5 indices i and 3 r, innermost first. Beyond the
// extent of their innermost dimension products are 0. Sums are float64: there may be many summands, and they are few beside
// what other kernels do.
struct Contraction {
    static constexpr int kept = 5, summed = 3;

    Halide::Func sum, output;  // of the kept indices
    Halide::RDom over;

    // width: the extent of the innermost dimension of left and right; extents: of r.
    Contraction(Halide::Func left, Halide::Expr width, Halide::Func right, Halide::Func offset, Halide::Expr factor,
                const std::vector<Halide::Expr> &extents);

    static std::vector<Halide::Var> indices();
};

// output(i) = 1 / sqrt(variance(i) + eps), of a variance that rounding made negative 1 / sqrt(eps).
struct ReciprocalRoot {
    Halide::Func output;

    ReciprocalRoot() = default;
    ReciprocalRoot(Halide::Func variance, Halide::Expr eps);
};

}  // namespace upwell
