// Unrolling of the small dimensions that every stage of a pixel has.
#pragma once

#include "Halide.h"

#include <vector>

namespace upwell {

// Unrolls the dimensions between the pixel (the first two) and the sample, whose sizes are known.
inline void unroll_inner(Halide::Func f, const std::vector<int> &sizes) {
    const std::vector<Halide::Var> dimensions = f.args();
    for (size_t i = 0; i < sizes.size(); i++) {
        f.bound(dimensions[2 + i], 0, sizes[i]).unroll(dimensions[2 + i]);
    }
}

}  // namespace upwell
