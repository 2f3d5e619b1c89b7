// GPU schedules (CUDA, OpenCL) of the exact solver of weighted reverse convolution. A thread is a low-res cell or a
// pixel of a plane and finds its sums in registers; neighbouring threads are neighbouring columns.
#include "schedules/wrc_exact.h"

namespace upwell {

using namespace Halide;

namespace {

constexpr auto guard = TailStrategy::GuardWithIf;
constexpr int block_columns = 32, block_rows = 4;

const Var plane("plane"), block_x("block_x"), block_y("block_y"), thread_x("thread_x"), thread_y("thread_y");

// A thread has a place of a plane. Planes first: there may be more than 65535.
void launch(Func f) {
    f.compute_root()
        .fuse(c, n, plane)
        .tile(x, y, block_x, block_y, thread_x, thread_y, block_columns, block_rows, guard)
        .gpu_threads(thread_x, thread_y)
        .never_partition_all();
    std::vector<VarOrRVar> order{thread_x, thread_y, plane, block_x, block_y};
    for (const Var &argument : f.args()) {  // what is neither, a thread goes through
        for (const Var &inner : {kind, place_x, place_y}) {
            if (argument.name() == inner.name()) {
                order.insert(order.begin(), inner);
            }
        }
    }
    f.reorder(order).gpu_blocks(plane, block_x, block_y);
}

void in_thread(Func sum, Func f) {
    sum.compute_at(f, thread_x);
}

// Sums of a plane: a thread has a column, and then a plane.
void launch(const Dot &dot) {
    Func columns = dot.columns, total = dot.total;
    columns.in()
        .compute_root()
        .fuse(c, n, plane)
        .split(x, block_x, thread_x, block_columns, guard)
        .reorder(thread_x, plane, block_x)
        .gpu_blocks(plane, block_x)
        .gpu_threads(thread_x)
        .never_partition_all();
    in_thread(columns, columns.in());
    Func stored = total.in();
    stored.compute_root()
        .fuse(c, n, plane)
        .split(plane, block_x, thread_x, block_columns, guard)
        .gpu_blocks(block_x)
        .gpu_threads(thread_x)
        .never_partition_all();
    in_thread(total, stored);
}

// What is found of every plane.
void launch_planes(Func f) {
    f.fuse(c, n, plane)
        .split(plane, block_x, thread_x, block_columns, guard)
        .gpu_blocks(block_x)
        .gpu_threads(thread_x)
        .never_partition_all();
}

}  // namespace

void schedule_on_gpu(WrcStart &parts) {
    Func sums = parts.sums.sum.in();
    launch(sums);
    in_thread(parts.sums.sum, sums);
    launch(parts.output);
    parts.output.bound(kind, 0, 3).unroll(kind);
    launch(parts.square);
    launch_planes(parts.squares);
}

void schedule_on_gpu(WrcFirst &parts) {
    launch(parts.output);
    parts.output.bound(kind, 0, 3).unroll(kind);
}

void schedule_on_gpu(WrcReciprocals &parts) {
    launch(parts.output);
}

void schedule_on_gpu(WrcStep &parts) {
    launch(parts.scaled);
    parts.spread.sum.compute_at(parts.scaled, place_x);
    launch(parts.product);
    in_thread(parts.back.sum, parts.product);
    launch(parts.curvature);
    launch(parts.residual);
    launch(parts.square);
    launch(parts.output);
    parts.output.bound(kind, 0, 3).unroll(kind);
    launch(parts.output_square);
    launch_planes(parts.squares);
}

void schedule_on_gpu(WrcFinish &parts) {
    launch(parts.output);
    in_thread(parts.spread.sum, parts.output);
}

void schedule_on_gpu(WrcLowGradients &parts) {
    launch(parts.output);
    in_thread(parts.sums.sum, parts.output);
}

// A thread sums the samples of every 16th column for a pixel of the window; another one adds those.
void schedule_on_gpu(WrcKernelGradient &parts) {
    const std::vector<Var> element = parts.output.args();  // place x, cell x, place y, cell y, c, n
    Var row("window_row"), pixel("window_column");
    const auto launch_elements = [&](Func f) {
        f.fuse(element[4], element[5], plane).fuse(element[0], element[1], pixel).fuse(element[2], element[3], row);
    };
    Func stored = parts.lane_sums.in();
    launch_elements(stored);
    stored.compute_root()
        .reorder(column, pixel, plane, row)
        .split(pixel, block_x, thread_y, block_rows, guard)
        .gpu_blocks(plane, block_x, row)
        .gpu_threads(column, thread_y)
        .never_partition_all();
    parts.lane_sums.compute_at(stored, column);
    launch_elements(parts.output);
    parts.output.split(pixel, block_x, thread_x, block_columns, guard)
        .reorder(thread_x, plane, block_x, row)
        .gpu_blocks(plane, block_x, row)
        .gpu_threads(thread_x)
        .never_partition_all();
    in_thread(parts.sum, parts.output);
}

}  // namespace upwell
