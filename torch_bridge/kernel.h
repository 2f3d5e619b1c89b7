// Check, allocate, call: what the CPU and the Meta kernel of every operator do. A tensor on the meta device stops
// before the call, so both have the same checks, and all of them take symbolic sizes.
#pragma once

#include <array>
#include <string>

#include <ATen/core/Tensor.h>

#include "upwell.h"

namespace upwell::bridge {

using at::Tensor;
using Size = std::array<c10::SymInt, 2>;  // height, width

// An operator with weights (logits or given).
struct Weighted {
    std::string name;     // of the operator called, e.g. fns_d_value
    std::string family;   // fns
    std::string weights;  // logits
    Parameters parameters;
};

Tensor weighted_forward(const Weighted &op, const Tensor &value, const Tensor &weights);
Tensor weighted_d_value(const Weighted &op, const Tensor &d_output, const Tensor &weights, const Size &low);
Tensor weighted_d_weight(const Weighted &op, const Tensor &d_output, const Tensor &value, const Tensor &weights);

// An operator without: `argument` (a value or a gradient of the output) to a map of this size.
Tensor resample(const std::string &name, const std::string &argument, const Tensor &input, c10::SymIntArrayRef size);

}  // namespace upwell::bridge
