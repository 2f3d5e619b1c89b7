// GPU schedules (CUDA, OpenCL) of cells times the index of their pixels. A thread is a pixel or a cell; neighbouring
// threads are neighbouring columns, so that loads and stores coalesce.
#include "schedules/index_unpool.h"

namespace upwell::index_unpool {

using namespace Halide;

namespace {

constexpr auto guard = TailStrategy::GuardWithIf;
constexpr int block_columns = 32, block_rows = 4;

const Var tile("tile"), block_x("block_x"), block_y("block_y"), thread_x("thread_x"), thread_y("thread_y");

// All blocks are one dimension: others have at most 65535.
void launch(Func f, const Var &column, const Var &row, const std::vector<Var> &others) {
    f.split(column, block_x, thread_x, block_columns, guard).split(row, block_y, thread_y, block_rows, guard);
    std::vector<VarOrRVar> order{thread_x, thread_y, block_x, block_y};
    order.insert(order.end(), others.begin(), others.end());
    f.reorder(order).fuse(block_x, block_y, tile);
    for (const Var &other : others) {
        f.fuse(tile, other, tile);
    }
    f.gpu_blocks(tile).gpu_threads(thread_x, thread_y).never_partition_all();
}

}  // namespace

void schedule_on_gpu(Unpooled &parts) {
    launch(parts.output, x, j, {s, c, g, n});
}

void schedule_on_gpu(DValue &parts) {
    launch(parts.d_value, u, v, {c, g, n});
    parts.sum.compute_at(parts.d_value, thread_x);
    parts.columns.compute_at(parts.sum, parts.in_cell.x);
}

void schedule_on_gpu(DIndex &parts) {
    launch(parts.d_index, q, j, {b, s, g, n});
    parts.sum.compute_at(parts.d_index, thread_x);
}

}  // namespace upwell::index_unpool
