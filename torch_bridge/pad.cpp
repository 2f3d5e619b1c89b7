// Replicate borders, and shifts by a rational number of pixels.
#include "pad.h"

#include <algorithm>

#include <ATen/ops/cat.h>
#include <ATen/ops/lerp.h>

namespace upwell::nn {
namespace {

// The first slice along axis repeated `before` times in front, the last `after` times behind.
at::Tensor extend(const at::Tensor &x, int64_t axis, int64_t before, int64_t after) {
    std::vector<int64_t> sizes = x.sizes().vec();
    const int64_t length = sizes[axis];
    sizes[axis] = before;
    const at::Tensor front = x.narrow(axis, 0, 1).expand(sizes);
    sizes[axis] = after;
    const at::Tensor back = x.narrow(axis, length - 1, 1).expand(sizes);
    return at::cat({front, x, back}, axis);
}

}  // namespace

at::Tensor replicate_pad(const at::Tensor &x, int64_t rows, int64_t columns) {
    return extend(extend(x, 2, rows, rows), 3, columns, columns);
}

at::Tensor pad_to(const at::Tensor &x, int64_t H, int64_t W) {
    return extend(extend(x, 2, 0, H - x.size(2)), 3, 0, W - x.size(3));
}

at::Tensor shift(const at::Tensor &x, int64_t axis, int64_t numerator, int64_t denominator) {
    const int64_t remainder = (numerator % denominator + denominator) % denominator;
    const int64_t whole = (numerator - remainder) / denominator;
    const int64_t start = std::max<int64_t>(whole, 0), length = x.size(axis);
    const at::Tensor extended = extend(x, axis, std::max<int64_t>(-whole, 0), std::max<int64_t>(whole + 1, 0));
    return at::lerp(extended.narrow(axis, start, length), extended.narrow(axis, start + 1, length),
                    static_cast<double>(remainder) / static_cast<double>(denominator));
}

}  // namespace upwell::nn
