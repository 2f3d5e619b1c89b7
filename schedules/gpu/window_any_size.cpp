// GPU schedules (CUDA, OpenCL) of the window kernel and its transposes where cells differ in size: every pixel has a
// window of its own.
#include "schedules/unroll.h"
#include "schedules/window.h"

#include "algebra/dimensions.h"
#include "schedules/gpu/weights.h"

namespace upwell {

using namespace Halide;

namespace {

Space thread_space(const WindowKnobs &knobs) {
    Space space;
    space.add(knobs.threads_x, "threads of a block along columns", 32, {8, 16, 32, 64, 128});
    space.add(knobs.threads_y, "threads of a block along rows", 4, {1, 2, 4, 8, 16});
    require_threads(space, 128, "threads_x * threads_y",
                    [&knobs](const Space &s) { return s[knobs.threads_x] * s[knobs.threads_y]; });
    return space;
}

}  // namespace

// A thread is a pixel: its weights stay in registers and serve every channel of its block.
void schedule_any_size_on_gpu(Reassembly &parts, const WindowKnobs &knobs) {
    const Problem &p = parts.problem;
    Space space = thread_space(knobs);
    add_block_channels(space, knobs);
    space.settle(knobs);
    Var bx("bx"), by("by"), bc("bc"), tx("tx"), ty("ty"), ci("ci"), no("no"), ni("ni"), block("block");
    parts.output.split(x, bx, tx, space[knobs.threads_x], guard)
        .split(y, by, ty, space[knobs.threads_y], guard)
        .split(c, bc, ci, channels_of_block(p, 1, space[knobs.block_channels]), guard)
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
void schedule_any_size_on_gpu(ReassemblyWeightBackward &parts, const WindowKnobs &knobs) {
    const Problem &p = parts.problem;
    const int size = p.window.size;
    const Space space = thread_space(knobs);
    space.settle(knobs);
    Var bx("bx"), by("by"), tx("tx"), ty("ty"), no("no"), ni("ni"), block("block");
    parts.output.bound(tap, 0, p.op.taps.count())
        .split(x, bx, tx, space[knobs.threads_x], guard)
        .split(y, by, ty, space[knobs.threads_y], guard)
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
    schedule_weights_backward_on_gpu(parts, tx);
}

}  // namespace upwell
