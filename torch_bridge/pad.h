// Replicate borders, and shifts by a rational number of pixels.
#pragma once

#include <ATen/core/Tensor.h>

namespace upwell::nn {

// x N,C,H,W -> N,C,H + 2 rows,W + 2 columns.
at::Tensor replicate_pad(const at::Tensor &x, int64_t rows, int64_t columns);

// x N,C,h,w -> N,C,H,W, at least as large: the last row and column repeated.
at::Tensor pad_to(const at::Tensor &x, int64_t H, int64_t W);

// x at p + numerator/denominator along axis: linear between pixels, replicate border.
at::Tensor shift(const at::Tensor &x, int64_t axis, int64_t numerator, int64_t denominator);

}  // namespace upwell::nn
