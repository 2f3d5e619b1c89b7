// Which schedule of the prior serves a target.
#include "wrc_prior.h"

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

void schedule(WrcPrior &parts, const Halide::Target &target) {
    schedule_on(parts, target);
}

void schedule(WrcPriorAdjoint &parts, const Halide::Target &target) {
    schedule_on(parts, target);
}

}  // namespace upwell
