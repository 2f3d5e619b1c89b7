// Borders of maps.
#pragma once

#include <ATen/core/Tensor.h>

namespace upwell::bridge {

// x N,C,H,W -> N,C,H + 2 rows,W + 2 columns, the border repeated. By concatenation: torch's padding, compiled, has no
// backward on CPU (torch 2.11).
at::Tensor replicate_pad(const at::Tensor &x, int64_t rows, int64_t columns);

}  // namespace upwell::bridge
