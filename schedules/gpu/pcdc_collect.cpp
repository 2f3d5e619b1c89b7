// GPU schedules (CUDA, OpenCL) of what tiles found, put together. A thread is a place of the map.
#include "schedules/gpu/pcdc.h"

namespace upwell::pcdc {

using namespace Halide;
using gpu::guard;

namespace {

// A launch for a stage of f: threads along its first two dimensions, blocks over all of them.
template<class Stage> void launch(Stage f, const std::vector<Var> &dimensions, const std::vector<RVar> &sums) {
    Var bx("bx"), by("by"), tx("tx"), ty("ty");
    f.split(dimensions[0], bx, tx, 32, guard).split(dimensions[1], by, ty, 4, guard).never_partition_all();
    std::vector<VarOrRVar> order(sums.begin(), sums.end());
    order.insert(order.end(), {tx, ty, bx, by});
    order.insert(order.end(), dimensions.begin() + 2, dimensions.end());
    f.reorder(order).gpu_threads(tx, ty).fuse(bx, by, bx);
    for (size_t k = 2; k < dimensions.size(); k++) {
        f.fuse(bx, dimensions[k], bx);
    }
    f.gpu_blocks(bx);
}

void launch_all(Func f) {
    launch(f.compute_root(), f.args(), {});
    for (int k = 0; k < f.num_update_definitions(); k++) {
        launch(f.update(k), f.args(), f.rvars(k));
    }
}

}  // namespace

void schedule_on_gpu(GatheredMap &m) {
    Var bx("bx"), by("by"), tx("tx"), ty("ty");
    Func stored = m.padded.in();
    stored.compute_root()
        .split(x, bx, tx, 32, guard)
        .split(row, by, ty, 4, guard)
        .reorder(tx, ty, bx, by, i, g, phase, n)
        .fuse(i, g, i)
        .gpu_threads(tx, ty)
        .never_partition_all();
    gpu::launch_blocks(stored, bx, by, i);
    m.padded.compute_at(stored, tx);
    for (Func f : {m.fold.left, m.fold.right, m.fold.top, m.fold.bottom, m.fold.folded, m.fold.output}) {
        launch_all(f);
    }
}

// A thread is a channel of a cell.
void schedule_on_gpu(GatheredCells &c) {
    Var block("block"), lane("lane"), bx("bx"), tx("tx");
    c.output.split(o, block, lane, 32, guard)
        .split(x, bx, tx, 4, guard)
        .reorder(lane, tx, block, bx, y, g, n)
        .fuse(bx, n, bx)
        .fuse(block, g, block)
        .gpu_threads(lane, tx)
        .reorder(bx, y, block)
        .gpu_blocks(bx, y, block)
        .never_partition_all();
    c.sum.compute_at(c.output, lane);
}

}  // namespace upwell::pcdc
