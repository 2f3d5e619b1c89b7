// GPU schedules (CUDA, OpenCL) of the transposed convolution. A thread is two blocks of output pixels, all their
// phases, or two pixels of the input; neighbouring threads are neighbouring columns. Each reads the map itself, which
// its block has in L1, and weights that are the same for all threads of a block.
#include "schedules/transposed_conv.h"

namespace upwell::transposed_conv {

using namespace Halide;

namespace {

constexpr auto guard = TailStrategy::GuardWithIf;
constexpr int block_columns = 32, block_rows = 8, thread_rows = 2;

const Var block_x("block_x"), block_y("block_y"), thread_x("thread_x"), thread_y("thread_y"), tile("tile"),
    channel("channel"), rows("rows");

void schedule_weights(Func weights) {
    weights.compute_root()
        .reorder_storage(px, py, tx, ty, a, b, g)
        .tile(tx, ty, block_x, block_y, thread_x, thread_y, 8, 8, guard)
        .reorder(px, py, block_x, block_y, thread_x, thread_y, a, b, g)
        .gpu_blocks(a, b, g)
        .gpu_threads(thread_x, thread_y)
        .never_partition_all();
}

// A launch over the pixels of a map, or its blocks, thread_rows a thread. Tiles first: there may be more than 65535.
void launch(Func map, Var channels, const std::vector<Var> &inner) {
    std::vector<VarOrRVar> order(inner.begin(), inner.end());
    order.insert(order.end(), {thread_x, thread_y, tile, channel, n});
    map.split(y, rows, y, thread_rows, guard)
        .unroll(y)
        .tile(x, rows, block_x, block_y, thread_x, thread_y, block_columns, block_rows, guard)
        .fuse(block_x, block_y, tile)
        .fuse(channels, g, channel)
        .reorder(order)
        .gpu_blocks(tile, channel, n)
        .gpu_threads(thread_x, thread_y)
        .never_partition_all();
}

}  // namespace

void schedule_on_gpu(Forward &f) {
    schedule_weights(f.weights);
    Stage update = f.sum.update();
    update.never_partition_all();
    if (fixed(f.problem)) {
        launch(f.output, b, {px, py, y});
        f.output.bound(px, 0, 2).bound(py, 0, 2).unroll(px).unroll(py);
        f.sum.compute_at(f.output, thread_x).unroll(px).unroll(py);
        f.sum.bound_extent(y, thread_rows).unroll(y);
        update.reorder({px, py, y, x, f.taps.x, f.taps.y, f.taps.z, b, g, n}).unroll(px).unroll(py).unroll(y);
    } else {
        launch(f.output, b, {y, px, py});
        f.sum.compute_at(f.output, px).bound_extent(y, thread_rows).unroll(y);
        update.reorder({y, x, f.taps.x, f.taps.y, f.taps.z, px, py, b, g, n}).unroll(y);
    }
}

void schedule_on_gpu(DInput &d) {
    schedule_weights(d.weights);
    launch(d.d_input, a, {y});
    d.sum.compute_at(d.d_input, thread_x).bound_extent(y, thread_rows).unroll(y);
    Stage update = d.sum.update();
    update.reorder({y, x, d.taps[3], d.taps[4], d.taps[0], d.taps[1], d.taps[2], a, g, n})
        .unroll(y)
        .never_partition_all();
    if (fixed(d.problem)) {
        update.unroll(d.taps[3]).unroll(d.taps[4]);
    }
}

// A first launch sums the columns of strips, a thread some columns for one row of taps; a second one adds them up.
void schedule_on_gpu(DWeight &d) {
    constexpr int tile_taps = 2, tap_rows = 4;
    Func stored = d.lane_sums.in();
    Stage update = d.lane_sums.update();
    stored.compute_root()
        .split(tx, block_x, tx, tile_taps, TailStrategy::RoundUp)
        .split(ty, block_y, thread_y, tap_rows, guard)
        .fuse(a, b, channel)
        .fuse(strip, n, tile)
        .reorder({tx, px, py, block_x, block_y, lane, thread_y, channel, g, tile})
        .unroll(tx)
        .gpu_blocks(channel, g, tile)
        .gpu_threads(lane, thread_y)
        .never_partition_all();
    d.lane_sums.unroll(tx);
    update.reorder({tx, px, py, d.blocks.x, d.blocks.y}).unroll(tx).never_partition_all();
    if (fixed(d.problem)) {
        stored.bound(px, 0, 2).bound(py, 0, 2).unroll(px).unroll(py);
        d.lane_sums.compute_at(stored, block_x).unroll(px).unroll(py);
        update.unroll(px).unroll(py);
    } else {
        d.lane_sums.compute_at(stored, px);
    }
    d.d_weight.tile(x, y, block_x, block_y, thread_x, thread_y, 8, 8, guard)
        .reorder(block_x, block_y, thread_x, thread_y, b, a, g)
        .gpu_blocks(b, a, g)
        .gpu_threads(thread_x, thread_y)
        .never_partition_all();
    d.sums.compute_at(d.d_weight, block_x);
    d.strip_sums.compute_at(d.sums, d.strips.x);
}

}  // namespace upwell::transposed_conv
