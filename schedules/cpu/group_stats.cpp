// CPU schedules of group statistics: lanes are columns, a task is a strip of rows of a group.
#include "schedules/group_stats.h"

namespace upwell::group_stats {

using namespace Halide;

void schedule_on_cpu(GroupStats &s, Expr side, const GroupStatsKnobs &knobs, const Target &target) {
    Space().settle(knobs);
    const int lanes = std::min(columns, target.natural_vector_size(s.output.types()[0]));
    Var task("task");
    for (Func f : {s.sums, s.squares}) {
        f.compute_root().vectorize(column, lanes).fuse(strip, g, task).fuse(task, n, task).parallel(task);
        Stage update = f.update();
        update.reorder({column, s.pixels.x, s.pixels.y, s.pixels.z, strip, g, n})
            .vectorize(column, lanes)
            .unroll(column)
            .fuse(strip, g, task)
            .fuse(task, n, task)
            .parallel(task);
    }
    s.squares.update().specialize(side == 0);
    s.rows.compute_at(s.squares, s.pixels.z).vectorize(x, lanes, TailStrategy::RoundUp);
    s.bordered.compute_at(s.rows, y).vectorize(x, lanes, TailStrategy::RoundUp);
    s.mean.compute_root();
    s.variance.compute_root();
    s.output.bound(kind, 0, 2);
}

void schedule_on_cpu(GroupStatsBackward &a, Expr side, const GroupStatsKnobs &knobs, const Target &target) {
    Space space;
    space.add(knobs.task_rows, "rows of a task", 32, {8, 16, 32, 64, 128});
    space.settle(knobs);
    const int lanes = target.natural_vector_size(a.output.types()[0]);
    Var band("band"), line("line"), task("task");
    a.output.split(y, band, line, space[knobs.task_rows], TailStrategy::GuardWithIf)
        .reorder(x, line, band, c, n)
        .vectorize(x, lanes, TailStrategy::GuardWithIf)
        .fuse(band, c, task)
        .fuse(task, n, task)
        .parallel(task);
    for (Func f : {a.bordered_map, a.rows, a.blurred, a.bordered, a.blurred_rows}) {
        f.compute_at(a.output, task).vectorize(x, lanes, TailStrategy::RoundUp);
    }
    a.output.specialize(side == 0);
}

}  // namespace upwell::group_stats
