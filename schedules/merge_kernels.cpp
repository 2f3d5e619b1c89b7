// Which schedule of the merged kernel serves a target.
#include "merge_kernels.h"

namespace upwell {

void schedule_merge_kernels(Halide::Func merged, const Halide::Target &target) {
    if (target.has_gpu_feature()) {
        schedule_merge_kernels_on_gpu(merged);
    } else {
        schedule_merge_kernels_on_cpu(merged, target);
    }
}

}  // namespace upwell
