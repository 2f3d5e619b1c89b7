// A large kernel plus a small one at its centre.
#pragma once

#include "Halide.h"

namespace upwell {

// large: x, y, c; small: of this width and height, its first element at column left and row top of the large one.
struct MergedKernels {
    Halide::Func merged;  // x, y, c

    MergedKernels() = default;
    MergedKernels(Halide::Func large, Halide::Func small, Halide::Expr width, Halide::Expr height, Halide::Expr left,
                  Halide::Expr top);
};

}  // namespace upwell
