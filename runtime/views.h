// Parts of tensors, and other shapes of them, on the same memory.
#pragma once

#include "upwell.h"

namespace upwell {

// In elements, as given or those of a contiguous tensor.
std::vector<int64_t> strides_of(const Tensor &tensor);

// A contiguous tensor in other sizes.
Tensor reshaped(const Tensor &tensor, std::vector<int64_t> sizes);
// A dimension as two: so many parts, and what each of them has.
Tensor split(const Tensor &tensor, size_t dimension, int64_t parts);
// Elements first .. first + count of a dimension.
Tensor narrowed(const Tensor &tensor, size_t dimension, int64_t first, int64_t count);
// One of a dimension, which goes.
Tensor selected(const Tensor &tensor, size_t dimension, int64_t index);

}  // namespace upwell
