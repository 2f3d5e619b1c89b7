#include "views.h"

#include "tensor.h"

namespace upwell {

std::vector<int64_t> strides_of(const Tensor &tensor) {
    if (!tensor.strides.empty()) {
        return tensor.strides;
    }
    std::vector<int64_t> strides(tensor.sizes.size());
    int64_t dense = 1;
    for (size_t i = strides.size(); i-- > 0; dense *= tensor.sizes[i]) {
        strides[i] = dense;
    }
    return strides;
}

Tensor reshaped(const Tensor &tensor, std::vector<int64_t> sizes) {
    return {tensor.data, tensor.dtype, std::move(sizes), {}};
}

Tensor split(const Tensor &tensor, size_t dimension, int64_t parts) {
    Tensor result{tensor.data, tensor.dtype, tensor.sizes, strides_of(tensor)};
    const int64_t each = tensor.sizes[dimension] / parts;
    result.sizes[dimension] = each;
    result.sizes.insert(result.sizes.begin() + dimension, parts);
    result.strides.insert(result.strides.begin() + dimension, each * result.strides[dimension]);
    return result;
}

Tensor narrowed(const Tensor &tensor, size_t dimension, int64_t first, int64_t count) {
    Tensor part{tensor.data, tensor.dtype, tensor.sizes, strides_of(tensor)};
    part.data = static_cast<uint8_t *>(tensor.data) + first * part.strides[dimension] * element_size(tensor.dtype);
    part.sizes[dimension] = count;
    return part;
}

Tensor selected(const Tensor &tensor, size_t dimension, int64_t index) {
    Tensor part = narrowed(tensor, dimension, index, 1);
    part.sizes.erase(part.sizes.begin() + dimension);
    part.strides.erase(part.strides.begin() + dimension);
    return part;
}

}  // namespace upwell
