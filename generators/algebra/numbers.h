// What is not a number stays visible. Halide's min, max and comparisons may drop a nan (which operand they return depends
// on the order, the target and whether a loop was vectorised), and LLVM's floating-point algebra counts on numbers, so
// that even a test for a nan may be gone. These look at bits, which no algebra touches. float32 and float64.
#pragma once

#include "Halide.h"

namespace upwell {

// Whether v is neither a nan nor an infinity.
Halide::Expr is_finite_bits(Halide::Expr v);
Halide::Expr is_nan_bits(Halide::Expr v);

// max(v, 0); a nan stays.
Halide::Expr relu(Halide::Expr v);
// The same where `on` holds, else v.
Halide::Expr relu_where(Halide::Expr on, Halide::Expr v);
// Whether a gradient passes: v > 0 or v is a nan.
Halide::Expr passes_relu(Halide::Expr v);

// v, or a nan where witness is one.
Halide::Expr with_nan_of(Halide::Expr witness, Halide::Expr v);

// 0 * v: 0, or a nan where v is not finite.
Halide::Expr zero_times(Halide::Expr v);

}  // namespace upwell
