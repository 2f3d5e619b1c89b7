#include "merge_kernels.h"

#include "dimensions.h"

namespace upwell {

using namespace Halide;

Func merge_kernels(Func large, Func small, Expr width, Expr height, Expr left, Expr top) {
    Func merged("merged");
    const Expr column = x - left, row = y - top;
    const Expr inside = column >= 0 && column < width && row >= 0 && row < height;
    const Expr value = small(clamp(column, 0, width - 1), clamp(row, 0, height - 1), c);
    merged(x, y, c) = large(x, y, c) + select(inside, value, Internal::make_zero(value.type()));
    return merged;
}

}  // namespace upwell
