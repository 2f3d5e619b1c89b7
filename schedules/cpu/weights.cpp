#include "schedules/cpu/weights.h"

#include "algebra/dimensions.h"
#include "schedules/unroll.h"

namespace upwell {

using namespace Halide;

namespace {

void in_registers(Func f, Func consumer, Var at, int lanes, const std::vector<int> &sizes) {
    f.compute_at(consumer, at).vectorize(x, lanes, whole);
    unroll_inner(f, sizes);
}

}  // namespace

void schedule_weights(const Problem &p, Weights &w, Func stored, int lanes) {
    const int size = p.window.size;
    stored.reorder_storage(x, jx, jy, y, n).reorder(jx, jy, x, y, n).vectorize(x, lanes, whole).never_partition(y, n);
    unroll_inner(stored, {size, size});
    if (p.op.normaliser == Normaliser::Softmax) {
        in_registers(w.peak, stored, x, lanes, {});
        in_registers(w.exponential, stored, x, lanes, {p.op.taps.count()});
        in_registers(w.inverse_total, stored, x, lanes, {});
    }
    in_registers(w.row, stored, x, lanes, {size, p.op.taps.kernel});
}

void schedule_folded_weights(const Problem &p, Weights &w, FoldedWeights &folded, int lanes) {
    const int size = p.window.size;
    schedule_weights(p, w, folded.window, lanes);
    in_registers(w.window, folded.window, x, lanes, {size, size});
    in_registers(folded.along_x, folded.window, x, lanes, {size, size});
}

void schedule_weights_backward(ReassemblyWeightBackward &parts, Var at, int lanes) {
    const Operator &op = parts.problem.op;
    in_registers(parts.adjoint.d_row, parts.output, at, lanes, {parts.problem.window.size, op.taps.kernel});
    if (op.normaliser == Normaliser::Softmax) {
        in_registers(parts.adjoint.d_tap, parts.output, at, lanes, {op.taps.count()});
        in_registers(parts.adjoint.inner, parts.output, at, lanes, {});
        in_registers(parts.weights.peak, parts.output, at, lanes, {});
        in_registers(parts.weights.exponential, parts.output, at, lanes, {op.taps.count()});
        in_registers(parts.weights.inverse_total, parts.output, at, lanes, {});
    }
}

}  // namespace upwell
