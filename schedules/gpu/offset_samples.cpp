// GPU schedules (CUDA, OpenCL) of samples at offsets. A thread is a pixel and some channels of a group, or a cell and
// some channels; neighbouring threads are neighbouring columns, so that loads and stores of high-res maps coalesce.
#include "schedules/offset_samples.h"
#include "schedules/gpu/pixels.h"

namespace upwell::offset_samples {

using namespace Halide;
using namespace upwell::pixels;

namespace {

constexpr auto guard = TailStrategy::GuardWithIf;
constexpr int block_cells = 128, thread_channels = 8;

const Var channels("channels");

// First and last of a line of pixels, a thread a line.
void bounds(Func f, const Var &line) {
    Func stored = f.in();
    stored.compute_root()
        .split(line, block_x, thread_x, block_columns, guard)
        .reorder(thread_x, block_x, g, n)
        .gpu_blocks(block_x, g)
        .gpu_threads(thread_x)
        .never_partition_all();
    f.compute_at(stored, thread_x);
}

}  // namespace

void schedule_on_gpu(Samples &s) {
    s.output.split(c, channels, c, thread_channels, guard);
    launch(s.output, x, y, {c}, {channels, g, n});
    s.reads.cells.compute_at(s.output, thread_x);
    s.reads.weights.compute_at(s.output, thread_x);
}

void schedule_on_gpu(DValue &d) {
    bounds(d.row_reads, y);
    bounds(d.column_reads, x);
    // A launch a sample: of fused blocks Halide no longer sees which lines of pixels they need.
    d.d_value.split(c, channels, c, DValue::gathered, guard)
        .split(cell, block_x, thread_x, block_cells, guard)
        .reorder(c, thread_x, block_x, channels, g, n)
        .gpu_blocks(block_x, channels, g)
        .gpu_threads(thread_x)
        .unroll(c)
        .never_partition_all();
    d.of_map.compute_at(d.d_value, thread_x);
    d.of_map.update().never_partition_all();
    d.of_row.compute_at(d.of_map, d.lines);
    d.of_row.update().never_partition_all();
}

void schedule_on_gpu(DOffsets &d) {
    d.d_offsets.bound(axis, 0, 2).unroll(axis);
    launch(d.d_offsets, x, y, {axis}, {g, n});
    d.dots.compute_at(d.d_offsets, thread_x);
    d.lane_dots.compute_at(d.dots, x);
    d.reads.cells.compute_at(d.dots, x);
}

}  // namespace upwell::offset_samples
