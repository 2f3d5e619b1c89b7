// CPU schedule of sums of pixels: a task is some rows of a plane. The sum of rows is found once for a whole row, whose
// columns are then picked from the cache.
#include "schedules/pixel_sums.h"

#include "algebra/dimensions.h"

namespace upwell {

using namespace Halide;

void schedule_on_cpu(PixelSums &parts, const Target &target) {
    Func &output = parts.output;
    constexpr auto guard = TailStrategy::GuardWithIf;
    constexpr int task_rows = 16;
    const int lanes = target.natural_vector_size(output.types()[0]);
    Var vector("vector"), lane("lane"), task("task");
    output.split(y, task, y, task_rows, guard)
        .split(x, vector, lane, lanes, guard)
        .vectorize(lane)
        .fuse(task, c, task)
        .parallel(task);
    parts.sums.compute_at(output, vector).vectorize(x);
    parts.sums.update().reorder(x, parts.column_list).vectorize(x);
    parts.row_sums.compute_at(output, y).vectorize(x, lanes, guard);
    parts.row_sums.update().reorder(x, parts.row_list).vectorize(x, lanes, guard);
}

}  // namespace upwell
