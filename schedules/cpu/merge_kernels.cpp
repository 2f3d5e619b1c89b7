// CPU schedule of the merged kernel. A row is shorter than a vector.
#include "schedules/merge_kernels.h"

#include "algebra/dimensions.h"

namespace upwell {

using namespace Halide;

void schedule_on_cpu(MergedKernels &parts, const Target &target) {
    Func &merged = parts.merged;
    constexpr int task_kernels = 64;
    const int lanes = target.natural_vector_size(merged.types()[0]);
    Var task("task");
    merged.split(c, task, c, task_kernels, TailStrategy::GuardWithIf)
        .vectorize(x, lanes, TailStrategy::GuardWithIf)
        .parallel(task)
        .never_partition_all();
    merged.update().split(c, task, c, task_kernels, TailStrategy::GuardWithIf).parallel(task).never_partition_all();
}

}  // namespace upwell
