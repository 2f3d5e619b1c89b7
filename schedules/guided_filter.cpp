// Which schedule of the guided filter serves a target.
#include "guided_filter.h"

namespace upwell {

namespace {

template<class Parts> void schedule_on(Parts &parts, const GuidedFilterKnobs &knobs, const Halide::Target &target) {
    if (target.has_gpu_feature()) {
        schedule_on_gpu(parts, knobs);
    } else {
        schedule_on_cpu(parts, knobs, target);
    }
}

}  // namespace

void schedule(GuidedFilter &parts, const GuidedFilterKnobs &knobs, const Halide::Target &target) {
    schedule_on(parts, knobs, target);
}

void schedule(GuidedFilterAdjoint &parts, const GuidedFilterKnobs &knobs, const Halide::Target &target) {
    schedule_on(parts, knobs, target);
}

}  // namespace upwell
