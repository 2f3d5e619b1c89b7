// CPU schedules of the window kernel and its transposes where cells differ in size: lanes are channels, so that a
// pixel's window can start anywhere.
#include "../window.h"

#include "algebra/dimensions.h"
#include "weights.h"

namespace upwell {

using namespace Halide;

namespace {

// Vectors of channels summed at once: enough to hide the latency of a multiply-add.
constexpr int vectors = 4;

void schedule_channels_first(Func map, int lanes) {
    Var co("co"), ci("ci"), task("task");
    map.compute_root()
        .split(c, co, ci, lanes, whole)
        .reorder(ci, x, co, y, n)
        .vectorize(ci)
        .fuse(y, n, task)
        .parallel(task)
        .never_partition_all();
}

// output: x, y, c, n. sum: c, x, y, n, summed over loops, the outermost last.
Var schedule_sum(Func output, Func sum, std::vector<VarOrRVar> loops, int lanes) {
    Var block("block"), channel("channel"), xo("xo"), xi("xi"), task("task"), co("co"), ci("ci");
    output.split(x, xo, xi, lanes, guard)
        .split(c, block, channel, vectors * lanes, guard)
        .reorder(xi, channel, xo, block, y, n)
        .vectorize(xi)
        .fuse(y, n, task)
        .parallel(task)
        .never_partition_all();
    Func tile = sum.in();
    tile.compute_at(output, xo)
        .bound_extent(c, vectors * lanes)
        .split(c, co, ci, lanes, whole)
        .reorder(ci, co, x, y, n)
        .vectorize(ci)
        .unroll(co)
        .never_partition_all();
    sum.compute_at(tile, x).bound_extent(c, vectors * lanes).vectorize(c, lanes, whole).unroll(c);
    std::vector<VarOrRVar> order{ci, co};
    order.insert(order.end(), loops.begin(), loops.end());
    order.insert(order.end(), {x, y, n});
    sum.update().split(c, co, ci, lanes, whole).reorder(order).vectorize(ci).unroll(co).never_partition_all();
    return task;
}

}  // namespace

void schedule_any_size_on_cpu(Reassembly &parts, const Target &target) {
    const Problem &p = parts.problem;
    const int lanes = target.natural_vector_size(p.type);
    schedule_channels_first(parts.spread, lanes);
    const Var task = schedule_sum(parts.output, parts.sum, {parts.window.x, parts.window.y}, lanes);
    parts.sum.update().unroll(parts.window.x);
    parts.weights.window.compute_at(parts.output, task);
    schedule_weights(p, parts.weights, parts.weights.window, lanes);
}

void schedule_any_size_on_cpu(ReassemblyValueAdjoint &parts, const Target &target) {
    const Problem &p = parts.problem;
    const int lanes = target.natural_vector_size(p.type);
    Var task("task");
    schedule_channels_first(parts.gradient, lanes);
    const RDom &r = parts.pixels;  // column in cell, row in cell, jx, jy
    schedule_sum(parts.output, parts.sum, {r[0], r[2], r[1], r[3]}, lanes);
    parts.folded.window.compute_root();
    schedule_folded_weights(p, parts.weights, parts.folded, lanes);
    parts.folded.window.fuse(y, n, task).parallel(task);
}

void schedule_any_size_on_cpu(ReassemblyWeightAdjoint &parts, const Target &target) {
    const Problem &p = parts.problem;
    const int lanes = target.natural_vector_size(p.type), size = p.window.size;
    Var task("task"), xo("xo"), xi("xi");
    schedule_channels_first(parts.gradient, lanes);
    schedule_channels_first(parts.spread, lanes);
    parts.output.bound(tap, 0, p.op.taps.count())
        .split(x, xo, xi, lanes, guard)
        .reorder(xi, tap, xo, y, n)
        .vectorize(xi)
        .unroll(tap)
        .fuse(y, n, task)
        .parallel(task)
        .never_partition_all();
    parts.d_window.compute_at(parts.output, xo)
        .bound(jx, 0, size)
        .bound(jy, 0, size)
        .vectorize(x, lanes, whole)
        .never_partition_all();
    RVar co("co"), ci("ci");
    parts.d_window.update()
        .split(parts.channel.x, co, ci, lanes, guard)
        .reorder(ci, jx, co, jy, x, y, n)
        .atomic()
        .vectorize(ci)
        .never_partition_all();
    schedule_weights_adjoint(parts, xo, lanes);
}

}  // namespace upwell
