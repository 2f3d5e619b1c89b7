#include "algebra/merge_kernels.h"

#include "algebra/dimensions.h"

namespace upwell {

using namespace Halide;

MergedKernels::MergedKernels(Func large, Func small, Expr width, Expr height, Expr left, Expr top) : merged("merged") {
    const RDom element(0, width, 0, height, "element");
    merged(x, y, c) = large(x, y, c);
    merged(left + element.x, top + element.y, c) += small(element.x, element.y, c);
}

}  // namespace upwell
