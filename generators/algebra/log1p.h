// log(1 + v^2), to the last digits also where v is tiny, and its derivative. A nan stays one.
#pragma once

#include "Halide.h"

namespace upwell {

Halide::Expr log1p_square(Halide::Expr v);
Halide::Expr log1p_square_slope(Halide::Expr v);

}  // namespace upwell
