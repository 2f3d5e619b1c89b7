// Check, allocate, call: what the CPU, the CUDA and the Meta kernel of every operator do. A tensor on the meta device
// stops before the call, so all have the same checks, and they take symbolic sizes.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "queue.h"

namespace upwell::bridge {

using at::Tensor;
using Sizes = std::vector<c10::SymInt>;

std::string format(c10::SymIntArrayRef sizes);

// Throws unless dtype, device and layout are some that kernels serve.
void check_kind(const std::string &op, const std::string &argument, const Tensor &tensor);
// [N, C, height, width] of a map that kernels can take; throws.
Sizes check_map(const std::string &op, const std::string &argument, const Tensor &tensor);
// Throws unless dtype and device are those of `like`, the argument called `first`.
void check_alike(const std::string &op, const std::string &argument, const Tensor &tensor, const std::string &first,
                 const Tensor &like);
void check_device(const std::string &op, const std::string &argument, const Tensor &tensor, const std::string &first,
                  const Tensor &like);
void check_sizes(const std::string &op, const std::string &argument, const Sizes &actual, const Sizes &expected);
// Kernels index with int32. Sizes that are not known yet are checked when they are.
void check_elements(const std::string &op, const std::string &argument, c10::SymIntArrayRef sizes);

upwell::Tensor view(const Tensor &tensor);

}  // namespace upwell::bridge
