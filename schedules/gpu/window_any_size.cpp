// GPU schedules (CUDA, OpenCL) of the window kernel and its transposes where cells differ in size: every pixel has a
// window of its own.
#include "../unroll.h"
#include "../window.h"

#include "algebra/dimensions.h"
#include "weights.h"

namespace upwell {

using namespace Halide;

// A thread is a pixel: its weights stay in registers and serve every channel of its block.
void schedule_any_size_on_gpu(Reassembly &parts) {
    const Problem &p = parts.problem;
    Var bx("bx"), by("by"), bc("bc"), tx("tx"), ty("ty"), ci("ci"), no("no"), ni("ni"), block("block");
    parts.output.split(x, bx, tx, 32, guard)
        .split(y, by, ty, 4, guard)
        .split(c, bc, ci, channels_of_block(p, 1), guard)
        .split(n, no, ni, samples_of_launch(p), guard)
        .reorder(ci, tx, ty, bx, by, bc, ni, no)
        .fuse(bx, by, block)
        .gpu_threads(tx, ty)
        .gpu_blocks(block, bc, ni)
        .never_partition_all();
    parts.sum.compute_at(parts.output, ci).update().unroll(parts.window.x).unroll(parts.window.y).never_partition_all();
    parts.weights.window.compute_at(parts.output, tx);
    schedule_weights_on_gpu(p, parts.weights, parts.weights.window);
}

// A thread is a pixel; an accumulator is a window cell, summed over channels.
void schedule_any_size_on_gpu(ReassemblyWeightAdjoint &parts) {
    const Problem &p = parts.problem;
    const int size = p.window.size;
    Var bx("bx"), by("by"), tx("tx"), ty("ty"), no("no"), ni("ni"), block("block");
    parts.output.bound(tap, 0, p.op.taps.count())
        .split(x, bx, tx, 32, guard)
        .split(y, by, ty, 4, guard)
        .split(n, no, ni, samples_of_launch(p), guard)
        .reorder(tap, tx, ty, bx, by, ni, no)
        .unroll(tap)
        .fuse(bx, by, block)
        .gpu_threads(tx, ty)
        .gpu_blocks(block, ni)
        .never_partition_all();
    parts.d_window.compute_at(parts.output, tx);
    unroll_inner(parts.d_window, {size, size});
    parts.d_window.update().reorder(jx, jy, x, y, parts.channel.x).unroll(jx).unroll(jy);
    schedule_weights_adjoint_on_gpu(parts, tx);
}

}  // namespace upwell
