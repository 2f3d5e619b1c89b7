// Which schedule of the window-kernel family serves a target.
#include "window.h"

namespace upwell {

namespace {

template<typename Parts> void place(Parts &parts, const WindowKnobs &knobs, const Halide::Target &target) {
    const bool on_gpu = target.has_gpu_feature(), exact = parts.problem.exact();
    if (on_gpu && exact) {
        schedule_exact_on_gpu(parts, knobs);
    } else if (on_gpu) {
        schedule_any_size_on_gpu(parts, knobs);
    } else if (parts.problem.few_channels) {
        schedule_few_channels_on_cpu(parts, knobs, target);
    } else if (exact) {
        schedule_exact_on_cpu(parts, knobs, target);
    } else {
        schedule_any_size_on_cpu(parts, knobs, target);
    }
}

}  // namespace

void schedule(Reassembly &parts, const WindowKnobs &knobs, const Halide::Target &target) {
    place(parts, knobs, target);
}

void schedule(ReassemblyValueAdjoint &parts, const WindowKnobs &knobs, const Halide::Target &target) {
    place(parts, knobs, target);
}

void schedule(ReassemblyWeightAdjoint &parts, const WindowKnobs &knobs, const Halide::Target &target) {
    place(parts, knobs, target);
}

}  // namespace upwell
