// Which schedule of group statistics serves a target.
#include "group_statistics.h"

namespace upwell::group_statistics {

using Halide::Expr, Halide::Target;

namespace {

template<class Parts>
void schedule_on(Parts &parts, Expr side, const GroupStatisticsKnobs &knobs, const Target &target) {
    if (target.has_gpu_feature()) {
        schedule_on_gpu(parts, side, knobs);
    } else {
        schedule_on_cpu(parts, side, knobs, target);
    }
}

}  // namespace

void schedule(GroupStatistics &s, Expr side, const GroupStatisticsKnobs &knobs, const Target &target) {
    schedule_on(s, side, knobs, target);
}

void schedule(GroupStatisticsAdjoint &a, Expr side, const GroupStatisticsKnobs &knobs, const Target &target) {
    schedule_on(a, side, knobs, target);
}

}  // namespace upwell::group_statistics
