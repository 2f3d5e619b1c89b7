// Group statistics: one schedule for each pass.
#pragma once

#include "Halide.h"
#include "algebra/group_statistics.h"

namespace upwell::group_statistics {

void schedule(GroupStatistics &s, Halide::Expr side, const Halide::Target &target);
void schedule(GroupStatisticsAdjoint &a, Halide::Expr side, const Halide::Target &target);

}  // namespace upwell::group_statistics
