// Which schedule of the window-kernel family serves a target.
#include "window.h"

namespace upwell {

namespace {

template<typename Parts> void schedule_on_cpu(Parts &parts, const WindowKnobs &knobs, const Halide::Target &target) {
    if (parts.problem.exact()) {
        schedule_exact_on_cpu(parts, knobs, target);
    } else {
        schedule_any_size_on_cpu(parts, target);
    }
}

}  // namespace

void schedule(Reassembly &parts, const WindowKnobs &knobs, const Halide::Target &target) {
    if (target.has_gpu_feature()) {
        schedule_on_gpu(parts);
    } else {
        schedule_on_cpu(parts, knobs, target);
    }
}

void schedule(ReassemblyValueAdjoint &parts, const WindowKnobs &knobs, const Halide::Target &target) {
    schedule_on_cpu(parts, knobs, target);
}

void schedule(ReassemblyWeightAdjoint &parts, const WindowKnobs &knobs, const Halide::Target &target) {
    schedule_on_cpu(parts, knobs, target);
}

}  // namespace upwell
