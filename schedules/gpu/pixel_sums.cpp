// GPU schedule (CUDA, OpenCL) of sums of pixels: a thread is a pixel.
#include "schedules/pixel_sums.h"

#include "algebra/dimensions.h"

namespace upwell {

using namespace Halide;

void schedule_on_gpu(PixelSums &parts) {
    constexpr auto guard = TailStrategy::GuardWithIf;
    constexpr int block_columns = 32, block_rows = 8;
    Var block_x("block_x"), block_y("block_y"), thread_x("thread_x"), thread_y("thread_y");
    // Planes first: there may be more than 65535.
    parts.output.tile(x, y, block_x, block_y, thread_x, thread_y, block_columns, block_rows, guard)
        .reorder(thread_x, thread_y, c, block_x, block_y)
        .gpu_blocks(c, block_x, block_y)
        .gpu_threads(thread_x, thread_y)
        .never_partition_all();
    parts.sums.compute_at(parts.output, thread_x);
    parts.row_sums.compute_at(parts.sums, parts.column_list);
}

}  // namespace upwell
