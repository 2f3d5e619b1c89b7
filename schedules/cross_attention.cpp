// What both kinds of schedules of cross-scale attention do.
#include "schedules/cross_attention.h"

namespace upwell::cross_attention {

using namespace Halide;

Func &of_one(Func &f, LoopLevel at, const Extents &extents) {
    f.compute_at(std::move(at));
    const std::vector<Var> dimensions = f.args();
    for (const auto &[dimension, extent] : extents) {
        if (std::any_of(dimensions.begin(), dimensions.end(),
                        [&](const Var &each) { return each.same_as(dimension); })) {
            f.bound_extent(dimension, extent);
        }
    }
    return f;
}

Func &of_this_one(Func &f, LoopLevel at, Extents extents) {
    for (const Var &dimension : f.args()) {
        if (std::none_of(extents.begin(), extents.end(),
                         [&](const auto &each) { return each.first.same_as(dimension); })) {
            extents.emplace_back(dimension, 1);
        }
    }
    return of_one(f, std::move(at), extents);
}

}  // namespace upwell::cross_attention
