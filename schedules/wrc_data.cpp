#include "wrc_data.h"

#include "algebra/dimensions.h"

namespace upwell {

using namespace Halide;

void schedule_elements(Func f, const Target &target) {
    constexpr auto guard = TailStrategy::GuardWithIf;
    Var block("block"), element("element");
    if (target.has_gpu_feature()) {
        constexpr int threads = 256;
        f.gpu_tile(x, block, element, threads, guard).never_partition_all();
        return;
    }
    constexpr int task = 1 << 14;
    f.split(x, block, x, task, guard).parallel(block).vectorize(x, target.natural_vector_size(f.types()[0]), guard);
}

}  // namespace upwell
