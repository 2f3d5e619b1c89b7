// Group statistics: what can be tuned, and one schedule for each pass and kind of target.
#pragma once

#include "Halide.h"
#include "algebra/group_stats.h"
#include "schedules/knobs.h"

namespace upwell::group_stats {

// Of the statistics on a CPU there is nothing to choose: a task is a partial sum.
struct GroupStatsKnobs : Knobs {
    Knob task_rows{this, "task_rows"};                                      // of a CPU
    Knob thread_rows{this, "thread_rows"}, threads{this, "threads"};        // of a GPU
    Knob tile_columns{this, "tile_columns"}, tile_rows{this, "tile_rows"};  // of a GPU
};

void schedule_on_cpu(GroupStats &s, Halide::Expr side, const GroupStatsKnobs &knobs,
                     const Halide::Target &target);
void schedule_on_cpu(GroupStatsBackward &a, Halide::Expr side, const GroupStatsKnobs &knobs,
                     const Halide::Target &target);
void schedule_on_gpu(GroupStats &s, Halide::Expr side, const GroupStatsKnobs &knobs);
void schedule_on_gpu(GroupStatsBackward &a, Halide::Expr side, const GroupStatsKnobs &knobs);

}  // namespace upwell::group_stats
