// A value near the mean of a plane, which sums of products are taken less of: what a large mean would cost in digits.
#pragma once

#include "Halide.h"

namespace upwell {

// samples(x, y, ...) -> centre(...): the mean of 8 x 8 of the columns x rows samples, spread over the plane, those that
// are not finite as 0.
Halide::Func plane_centre(const std::string &name, Halide::Func samples, Halide::Expr columns, Halide::Expr rows);

}  // namespace upwell
