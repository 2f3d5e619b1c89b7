#include "schedules/gpu/weights.h"

#include "algebra/dimensions.h"
#include "schedules/unroll.h"

namespace upwell {

using namespace Halide;

namespace {

void in_registers(Func f, const LoopLevel &at, const std::vector<int> &sizes) {
    f.compute_at(at);
    unroll_inner(f, sizes);
}

}  // namespace

Expr samples_of_launch(const Problem &p) {
    return clamp(p.samples, 1, 65535);
}

void require_threads(Space &space, int hand, const std::string &factors, std::function<int(const Space &)> threads) {
    const int least = std::min(hand, 32), most = std::max(hand, 256);
    space.require("the threads of a block, " + factors + ", are " + std::to_string(least) + " to " +
                      std::to_string(most),
                  [=](const Space &s) { return threads(s) >= least && threads(s) <= most; });
}

void add_block_channels(Space &space, const WindowKnobs &knobs) {
    space.add(knobs.block_channels, "channels of a block; 0: as many as leave no large device idle", 0,
              {4, 8, 16, 32, 64, 128});
}

Expr channels_of_block(const Problem &p, int rows, int chosen) {
    if (chosen > 0) {
        return max(chosen, (p.channels + 65534) / 65535);  // a launch has at most 65535 of these blocks
    }
    const int enough = 1 << 17;  // threads; the largest devices hold about twice as many at once
    const Expr threads = max(1, cast<int64_t>((p.columns->high + 31) / 32 * 32) * p.rows->high * p.samples / rows);
    const Expr blocks = cast<int>(clamp(enough / threads, 1, clamp(p.channels / 8, 1, 65535)));
    return max(1, (p.channels + blocks - 1) / blocks);
}

void schedule_weights_on_gpu(const Problem &p, Weights &w, Func stored) {
    const int size = p.window.size;
    const LoopLevel pixel_row(stored, y);
    stored.reorder(jx, jy, x, y, n);
    unroll_inner(stored, {size, size});
    if (p.op.normaliser == Normaliser::Softmax) {
        in_registers(w.peak, pixel_row, {});
        in_registers(w.exponential, pixel_row, {p.op.taps.count()});
        in_registers(w.inverse_total, pixel_row, {});
    }
    in_registers(w.row, pixel_row, {size, p.op.taps.kernel});
}

void schedule_folded_weights_launch(const Problem &p, Weights &w, FoldedWeights &folded, int threads_x, int threads_y) {
    const int size = p.window.size;
    Var bx("bx"), by("by"), tx("tx"), ty("ty"), no("no"), ni("ni"), block("block");
    Func stored = folded.window;
    stored.compute_root()
        .split(x, bx, tx, threads_x)
        .split(y, by, ty, threads_y)
        .split(n, no, ni, samples_of_launch(p), guard)
        .reorder(jx, jy, tx, ty, bx, by, ni, no)
        .fuse(bx, by, block)
        .gpu_threads(tx, ty)
        .gpu_blocks(block, ni)
        .never_partition_all();
    unroll_inner(stored, {size, size});
    const LoopLevel pixel(stored, tx);
    if (p.op.normaliser == Normaliser::Softmax) {
        in_registers(w.peak, pixel, {});
        in_registers(w.exponential, pixel, {p.op.taps.count()});
        in_registers(w.inverse_total, pixel, {});
    }
    in_registers(w.row, pixel, {size, p.op.taps.kernel});
    in_registers(w.window, pixel, {size, size});
    in_registers(folded.along_x, pixel, {size, size});
}

void schedule_weights_backward_on_gpu(ReassemblyWeightBackward &parts, VarOrRVar at) {
    const Operator &op = parts.problem.op;
    const LoopLevel pixel(parts.output, at);
    in_registers(parts.adjoint.d_row, pixel, {parts.problem.window.size, op.taps.kernel});
    if (op.normaliser == Normaliser::Softmax) {
        in_registers(parts.adjoint.d_tap, pixel, {op.taps.count()});
        in_registers(parts.adjoint.inner, pixel, {});
        in_registers(parts.weights.peak, pixel, {});
        in_registers(parts.weights.exponential, pixel, {op.taps.count()});
        in_registers(parts.weights.inverse_total, pixel, {});
    }
}

}  // namespace upwell
