// GPU schedule (CUDA, OpenCL) of the window kernel.
#include "../window.h"

#include "../unroll.h"
#include "algebra/dimensions.h"

namespace upwell {

using namespace Halide;

// A thread is a pixel. Its weights are found once, stay in registers and serve every channel; neighbouring threads
// are neighbouring columns, so that stores coalesce.
void schedule_on_gpu(Reassembly &parts) {
    const Problem &p = parts.problem;
    const int size = p.window.size;
    Var bx("bx"), by("by"), tx("tx"), ty("ty");
    if (p.exact()) {
        parts.output.update()
            .allow_race_conditions()  // every row is written once
            .split(x, bx, tx, 32, TailStrategy::GuardWithIf)
            .reorder(c, tx, parts.pixels.x, bx, parts.pixels.y, parts.pixels.z)
            .gpu_threads(tx, parts.pixels.x)
            .gpu_blocks(bx, parts.pixels.y, parts.pixels.z);
    } else {
        parts.output.reorder(c, x, y, n).gpu_tile(x, y, bx, by, tx, ty, 32, 4, TailStrategy::GuardWithIf).gpu_blocks(n);
    }
    parts.sum.compute_at(parts.output, c).update().unroll(parts.window.x).unroll(parts.window.y);
    parts.weights.window.compute_at(parts.output, tx);
    unroll_inner(parts.weights.window, {size, size});
    if (p.op.normaliser == Normaliser::Softmax) {
        parts.weights.peak.compute_at(parts.output, tx);
        parts.weights.exponential.compute_at(parts.output, tx);
        unroll_inner(parts.weights.exponential, {p.op.taps.count()});
        parts.weights.inverse_total.compute_at(parts.output, tx);
    }
    parts.weights.row.compute_at(parts.output, tx);
    unroll_inner(parts.weights.row, {size, p.op.taps.kernel});
}

}  // namespace upwell
