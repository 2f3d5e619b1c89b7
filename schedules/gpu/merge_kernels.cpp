// GPU schedule (CUDA, OpenCL) of the merged kernel: a thread is an element, then a small kernel.
#include "schedules/merge_kernels.h"

#include "algebra/dimensions.h"

namespace upwell {

using namespace Halide;

void schedule_on_gpu(MergedKernels &parts) {
    Func &merged = parts.merged;
    constexpr int block_columns = 8, block_rows = 8, block_kernels = 4;
    Var block_x("block_x"), block_y("block_y"), block_c("block_c"), thread_x("thread_x"), thread_y("thread_y"),
        thread_c("thread_c");
    constexpr auto guard = TailStrategy::GuardWithIf;
    merged.split(x, block_x, thread_x, block_columns, guard)
        .split(y, block_y, thread_y, block_rows, guard)
        .split(c, block_c, thread_c, block_kernels, guard)
        .reorder(thread_x, thread_y, thread_c, block_c, block_x, block_y)
        .gpu_blocks(block_c, block_x, block_y)
        .gpu_threads(thread_x, thread_y, thread_c)
        .never_partition_all();
    constexpr int threads = 128;
    merged.update().gpu_tile(c, block_c, thread_c, threads, guard).never_partition_all();
}

}  // namespace upwell
