// Which schedule of the guided filter serves a target.
#include "guided_filter.h"

namespace upwell {

namespace {

template<class Parts> void schedule_on(Parts &parts, const Halide::Target &target) {
    if (target.has_gpu_feature()) {
        schedule_on_gpu(parts);
    } else {
        schedule_on_cpu(parts, target);
    }
}

}  // namespace

void schedule(GuidedFilter &parts, const Halide::Target &target) {
    schedule_on(parts, target);
}

void schedule(GuidedFilterAdjoint &parts, const Halide::Target &target) {
    schedule_on(parts, target);
}

}  // namespace upwell
