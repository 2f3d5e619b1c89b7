// What both kinds of schedules of sums over listed taps do.
#include "schedules/listed_taps.h"

namespace upwell::listed_taps {

using namespace Halide;

void fix_extents(Func sums, int pixels, const Var &each, int count) {
    for (const Var &dimension : sums.args()) {
        sums.bound_extent(dimension, dimension.same_as(u) ? pixels : dimension.same_as(each) ? count : 1);
    }
}

}  // namespace upwell::listed_taps
