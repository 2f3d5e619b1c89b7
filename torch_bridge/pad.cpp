// Borders.
#include "pad.h"

#include <ATen/ops/cat.h>

namespace upwell::bridge {
namespace {

// The first slice along axis repeated `before` times in front, the last `after` times behind.
at::Tensor extend(const at::Tensor &x, int64_t axis, int64_t before, int64_t after) {
    std::vector<c10::SymInt> sizes = x.sym_sizes().vec();
    const c10::SymInt length = sizes[axis];
    sizes[axis] = before;
    const at::Tensor front = x.narrow(axis, 0, 1).expand_symint(sizes);
    sizes[axis] = after;
    const at::Tensor back = x.narrow_symint(axis, length - 1, 1).expand_symint(sizes);
    return at::cat({front, x, back}, axis);
}

}  // namespace

at::Tensor replicate_pad(const at::Tensor &x, int64_t rows, int64_t columns) {
    return extend(extend(x, 2, rows, rows), 3, columns, columns);
}

}  // namespace upwell::bridge
