// Check, allocate, call: what the CPU, the CUDA and the Meta kernel of every operator do. A tensor on the meta device
// stops before the call, so all have the same checks, and they take symbolic sizes.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include <ATen/core/Tensor.h>

#include "upwell.h"

namespace upwell::bridge {

using at::Tensor;
using Size = std::array<c10::SymInt, 2>;  // height, width

using Sizes = std::vector<c10::SymInt>;

std::string format(c10::SymIntArrayRef sizes);

// [N, C, height, width] of a map that kernels can take; throws.
Sizes check_map(const std::string &op, const std::string &argument, const Tensor &tensor);
// Throws unless dtype and device are those of `like`, the argument called `first`.
void check_alike(const std::string &op, const std::string &argument, const Tensor &tensor, const std::string &first,
                 const Tensor &like);
void check_device(const std::string &op, const std::string &argument, const Tensor &tensor, const std::string &first,
                  const Tensor &like);
void check_sizes(const std::string &op, const std::string &argument, const Sizes &actual, const Sizes &expected);
// Throws unless the tensor has these sizes, and as many.
void check_shape(const std::string &op, const std::string &argument, const Tensor &tensor, const Sizes &expected);
// Kernels index with int32. Sizes that are not known yet are checked when they are.
void check_elements(const std::string &op, const std::string &argument, c10::SymIntArrayRef sizes);

// Throws unless every element is finite. On a CPU only: of a GPU the answer would have to be waited for.
void check_finite(const std::string &op, const std::string &argument, const Tensor &tensor);

// Throws unless size is two positive integers.
void check_size(const std::string &op, const std::string &argument, c10::SymIntArrayRef size);

upwell::Tensor view(const Tensor &tensor);

// Runs a kernel of the dtype of `like` by its generator's name, on torch's threads or its device's current stream.
using Given = std::variant<Tensor, int64_t, double>;
void run_kernel_on(const std::string &name, const Tensor &like, const std::vector<Given> &arguments);

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

// High-res pixels per low-res pixel along an axis where positions follow that number; none: the true ratio of sizes.
using Scale = std::optional<double>;

// An operator without: `argument` (a value or a gradient of the output) to a map of this size.
Tensor resample(const std::string &name, const std::string &argument, const Tensor &input, c10::SymIntArrayRef size,
                Scale scale_h, Scale scale_w);

}  // namespace upwell::bridge
