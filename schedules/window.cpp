// Which schedule of the window-kernel family a problem has.
#include "schedules/window.h"

namespace upwell {

namespace {

template<class Parts> void on_cpu(Parts &parts, const WindowKnobs &knobs, const Halide::Target &target) {
    if (parts.problem.few_channels) {
        schedule_few_channels_on_cpu(parts, knobs, target);
    } else if (parts.problem.exact()) {
        schedule_exact_on_cpu(parts, knobs, target);
    } else {
        schedule_any_size_on_cpu(parts, knobs, target);
    }
}

template<class Parts> void on_gpu(Parts &parts, const WindowKnobs &knobs) {
    if (parts.problem.exact()) {
        schedule_exact_on_gpu(parts, knobs);
    } else {
        schedule_any_size_on_gpu(parts, knobs);
    }
}

}  // namespace

void schedule_on_cpu(Reassembly &parts, const WindowKnobs &knobs, const Halide::Target &target) {
    on_cpu(parts, knobs, target);
}

void schedule_on_cpu(ReassemblyValueBackward &parts, const WindowKnobs &knobs, const Halide::Target &target) {
    on_cpu(parts, knobs, target);
}

void schedule_on_cpu(ReassemblyWeightBackward &parts, const WindowKnobs &knobs, const Halide::Target &target) {
    on_cpu(parts, knobs, target);
}

void schedule_on_gpu(Reassembly &parts, const WindowKnobs &knobs) {
    on_gpu(parts, knobs);
}

void schedule_on_gpu(ReassemblyValueBackward &parts, const WindowKnobs &knobs) {
    on_gpu(parts, knobs);
}

void schedule_on_gpu(ReassemblyWeightBackward &parts, const WindowKnobs &knobs) {
    on_gpu(parts, knobs);
}

Storage storage(Halide::Type type, const Where &where) {
    return Storage(type, where.target.has_feature(Halide::Target::CUDA));
}

std::optional<Tile> tile_of_d_value(const Problem &problem, const WindowKnobs *knobs, const Where &where) {
    if (!where.on_gpu() || problem.plain) {
        return std::nullopt;
    }
    return knobs ? choose_tile(problem, *knobs) : choose_tile(problem);
}

}  // namespace upwell
