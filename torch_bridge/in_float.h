// 16-bit tensors for operators that compute in float32: converted before and after.
#pragma once

#include <ATen/core/Tensor.h>

namespace upwell::bridge {

inline bool is_16_bit(const at::Tensor &tensor) {
    return tensor.scalar_type() == at::kHalf || tensor.scalar_type() == at::kBFloat16;
}

// to() asks the dispatcher even where there is nothing to do.
inline at::Tensor converted(const at::Tensor &tensor, at::ScalarType type) {
    return tensor.scalar_type() == type ? tensor : tensor.to(type);
}

}  // namespace upwell::bridge
