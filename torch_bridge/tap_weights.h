// The weights of taps as a map, for callers who ask for them: kernels find them in registers and keep none.
#pragma once

#include <optional>

#include "operators/arguments.h"
#include "runtime/window_operators.h"

namespace upwell::bridge {

// What a call of a window sums with. scores [N, groups*T, H, W]: its weights before a softmax, if it has one; low: h,
// w. [N, groups, T, H, W], 0 for taps that are masked; made of torch's operators, which differentiate it.
Tensor tap_weights(const WindowOperator &window, const Tensor &scores, const Sizes &low, const Parameters &parameters);

// The same of a call of an operator that is a sum over taps: [N, 1, T, H, W] where it has no groups.
Tensor tap_weights(const Operator &op, const Arguments &arguments);

}  // namespace upwell::bridge
