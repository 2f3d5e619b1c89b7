// Maps as kernels that work plane by plane take them.
#pragma once

#include <ATen/core/Tensor.h>

namespace upwell::bridge {

// A,B,H,W as planes A*B,H,W.
inline at::Tensor planes(const at::Tensor &maps) {
    return maps.contiguous().view({-1, maps.size(2), maps.size(3)});
}

}  // namespace upwell::bridge
