// CPU schedules of the window kernel and its transposes where cells differ in size: lanes are channels, so that a
// pixel's window can start anywhere.
#include "schedules/window.h"

#include "algebra/dimensions.h"
#include "schedules/cpu/weights.h"

namespace upwell {

using namespace Halide;

namespace {

// Vectors of channels summed at once by hand: enough to hide the latency of a multiply-add.
constexpr int hand_vectors = 4;

// What the output and d_value have in common.
Space sum_space(const WindowKnobs &knobs, int lanes) {
    Space space;
    space.add(knobs.unroll_vectors, "vectors of channels of a register block", hand_vectors, {1, 2, 3, 4, 6, 8});
    space.add(knobs.block_columns, "columns of a block that is transposed from channels to columns", lanes,
              {lanes, 2 * lanes, 4 * lanes});
    space.add(knobs.strip_rows, "rows of a task", 1, {1, 2, 4, 8});
    space.add(knobs.loop_order, "1: columns inside of channel blocks, 2: channel blocks inside of columns", 1, {1, 2});
    return space;
}

Space weight_space(const WindowKnobs &knobs) {
    Space space;
    space.add(knobs.strip_rows, "rows of a task", 1, {1, 2, 4, 8});
    space.add(knobs.loop_order, "1: channels inside of window rows, 2: window rows inside of channels", 1, {1, 2});
    space.add(knobs.unroll_sum, "the loop over window columns: 1: as it is, 2: unrolled", 1, {1, 2});
    return space;
}

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

// Rows of an output in strips, each a task.
Var make_tasks(Func output, int strip_rows, Var row_in_strip) {
    Var strip("strip"), task("task");
    if (strip_rows == 1) {
        output.fuse(y, n, task);
    } else {
        output.split(y, strip, row_in_strip, strip_rows, guard).fuse(strip, n, task);
    }
    output.parallel(task);
    return task;
}

// output: x, y, c, n. sum: c, x, y, n, summed over loops, the outermost last.
Var schedule_sum(Func output, Func sum, std::vector<VarOrRVar> loops, int lanes, const Space &space,
                 const WindowKnobs &knobs) {
    const int channels = space[knobs.unroll_vectors] * lanes, columns = space[knobs.block_columns];
    Var block("block"), channel("channel"), xo("xo"), xi("xi"), row_in_strip("row_in_strip"), co("co"), ci("ci");
    output.split(x, xo, xi, columns, guard).split(c, block, channel, channels, guard);
    const bool columns_inside = space[knobs.loop_order] == 1;
    const Var inner = columns_inside ? xo : block, outer = columns_inside ? block : xo;
    output.reorder(xi, channel, inner, outer, y, n);
    const Var task = make_tasks(output, space[knobs.strip_rows], row_in_strip);
    if (space[knobs.strip_rows] > 1) {
        output.reorder(xi, channel, inner, row_in_strip, outer, task);
    }
    if (columns == lanes) {
        output.vectorize(xi);
    } else {
        output.vectorize(xi, lanes);
    }
    output.never_partition_all();
    Func tile = sum.in();
    tile.compute_at(output, inner)
        .bound_extent(c, channels)
        .split(c, co, ci, lanes, whole)
        .reorder(ci, co, x, y, n)
        .vectorize(ci)
        .unroll(co)
        .never_partition_all();
    sum.compute_at(tile, x).bound_extent(c, channels).vectorize(c, lanes, whole).unroll(c);
    std::vector<VarOrRVar> order{ci, co};
    order.insert(order.end(), loops.begin(), loops.end());
    order.insert(order.end(), {x, y, n});
    sum.update().split(c, co, ci, lanes, whole).reorder(order).vectorize(ci).unroll(co).never_partition_all();
    return task;
}

}  // namespace

void schedule_any_size_on_cpu(Reassembly &parts, const WindowKnobs &knobs, const Target &target) {
    const Problem &p = parts.problem;
    const int lanes = target.natural_vector_size(p.type);
    const Space space = sum_space(knobs, lanes);
    space.settle(knobs);
    schedule_channels_first(parts.spread, lanes);
    const Var task = schedule_sum(parts.output, parts.sum, {parts.window.x, parts.window.y}, lanes, space, knobs);
    parts.sum.update().unroll(parts.window.x);
    parts.weights.window.compute_at(parts.output, task);
    schedule_weights(p, parts.weights, parts.weights.window, lanes);
}

void schedule_any_size_on_cpu(ReassemblyValueBackward &parts, const WindowKnobs &knobs, const Target &target) {
    const Problem &p = parts.problem;
    const int lanes = target.natural_vector_size(p.type);
    const Space space = sum_space(knobs, lanes);
    space.settle(knobs);
    Var task("task");
    schedule_channels_first(parts.gradient, lanes);
    const RDom &r = parts.pixels;  // column in cell, row in cell, jx, jy
    schedule_sum(parts.output, parts.sum, {r[0], r[2], r[1], r[3]}, lanes, space, knobs);
    parts.folded.window.compute_root();
    schedule_folded_weights(p, parts.weights, parts.folded, lanes);
    parts.folded.window.fuse(y, n, task).parallel(task);
}

void schedule_any_size_on_cpu(ReassemblyWeightBackward &parts, const WindowKnobs &knobs, const Target &target) {
    const Problem &p = parts.problem;
    const int lanes = target.natural_vector_size(p.type), size = p.window.size;
    const Space space = weight_space(knobs);
    space.settle(knobs);
    Var xo("xo"), xi("xi"), row_in_strip("row_in_strip");
    schedule_channels_first(parts.gradient, lanes);
    schedule_channels_first(parts.spread, lanes);
    parts.output.bound(tap, 0, p.op.taps.count())
        .split(x, xo, xi, lanes, guard)
        .reorder(xi, tap, xo, y, n)
        .vectorize(xi)
        .unroll(tap);
    make_tasks(parts.output, space[knobs.strip_rows], row_in_strip);
    parts.output.never_partition_all();
    parts.d_window.compute_at(parts.output, xo)
        .bound(jx, 0, size)
        .bound(jy, 0, size)
        .vectorize(x, lanes, whole)
        .never_partition_all();
    RVar co("co"), ci("ci");
    parts.d_window.update().split(parts.channel.x, co, ci, lanes, guard);
    if (space[knobs.loop_order] == 1) {
        parts.d_window.update().reorder(ci, jx, co, jy, x, y, n);
    } else {
        parts.d_window.update().reorder(ci, jx, jy, co, x, y, n);
    }
    parts.d_window.update().atomic().vectorize(ci).never_partition_all();
    if (space[knobs.unroll_sum] == 2) {
        parts.d_window.update().unroll(jx);
    }
    schedule_weights_backward(parts, xo, lanes);
}

}  // namespace upwell
