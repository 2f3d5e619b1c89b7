// Borders of maps, by concatenation, so that their gradients on CUDA are the same from run to run.
#pragma once

#include <string>

#include <ATen/core/Tensor.h>

namespace upwell::nn {

// x N,C,h,w -> N,C,h + 2 count,w + 2 count. mode: "circular" (may wrap more than once), "constant" (zeros), "reflect"
// (count below h and w) or "replicate".
at::Tensor pad(const at::Tensor &x, int64_t count, const std::string &mode);

}  // namespace upwell::nn
