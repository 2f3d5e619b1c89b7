// Group statistics: one schedule for each pass and kind of target.
#pragma once

#include "Halide.h"
#include "algebra/group_statistics.h"

namespace upwell::group_statistics {

void schedule(GroupStatistics &s, Halide::Expr side, const Halide::Target &target);
void schedule(GroupStatisticsAdjoint &a, Halide::Expr side, const Halide::Target &target);

void schedule_on_cpu(GroupStatistics &s, Halide::Expr side, const Halide::Target &target);
void schedule_on_cpu(GroupStatisticsAdjoint &a, Halide::Expr side, const Halide::Target &target);
void schedule_on_gpu(GroupStatistics &s, Halide::Expr side);
void schedule_on_gpu(GroupStatisticsAdjoint &a, Halide::Expr side);

}  // namespace upwell::group_statistics
