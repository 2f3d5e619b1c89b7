// CPU schedules of the window kernel and its transposes for maps of few channels where cells differ in size: lanes are
// pixel columns, and nothing of the size of a map is kept.
#include "schedules/unroll.h"
#include "schedules/window.h"

#include "algebra/dimensions.h"
#include "schedules/cpu/weights.h"

namespace upwell {

using namespace Halide;

namespace {

const Var xo("xo"), line("line"), task("task");  // vectors of columns, rows of a task, tasks

// Rows of an output in strips, each a task. order: of xo, line and the third dimension, innermost first.
void make_tasks(Func output, int rows, int lanes, const std::vector<Var> &order) {
    Var strip("strip"), xi("xi");
    std::vector<VarOrRVar> loops{xi};
    loops.insert(loops.end(), order.begin(), order.end());
    loops.insert(loops.end(), {strip, n});
    output.split(y, strip, line, rows, guard)
        .split(x, xo, xi, lanes, guard)
        .reorder(loops)
        .vectorize(xi)
        .fuse(strip, n, task)
        .parallel(task)
        .never_partition(task);
    for (const Var &loop : order) {
        if (loop.name() != xo.name()) {  // whole vectors are read as such, all but the last ones of a row
            output.never_partition(loop);
        }
    }
}

void schedule_table(Func table, int lanes) {
    table.compute_root().vectorize(x, lanes, whole);
}

}  // namespace

// The weights of a vector of pixels serve all channels. Without weights, the rows that a strip reads are stretched
// first.
void schedule_few_channels_on_cpu(Reassembly &parts, const WindowKnobs &knobs, const Target &target) {
    Space().settle(knobs);
    const Problem &p = parts.problem;
    const int lanes = target.natural_vector_size(p.type);
    schedule_table(parts.low_column, lanes);
    if (p.separable()) {
        make_tasks(parts.output, Problem::strip_rows, lanes, {xo, line, c});
        parts.stretched.compute_at(parts.output, c).vectorize(x, lanes, whole).never_partition(row, c, tile_y, n);
        return;
    }
    make_tasks(parts.output, Problem::strip_rows, lanes, {c, xo, line});
    parts.sum.compute_at(parts.output, c).vectorize(x, lanes, whole);
    parts.sum.update()
        .reorder(x, parts.window.x, parts.window.y)
        .vectorize(x, lanes, whole)
        .unroll(parts.window.x)
        .unroll(parts.window.y);
    parts.weights.window.compute_at(parts.output, xo).bound_extent(x, lanes);
    schedule_weights(p, parts.weights, parts.weights.window, lanes);
}

// A task is a strip of low-res rows, and what it needs of pixels its own.
void schedule_few_channels_on_cpu(ReassemblyValueBackward &parts, const WindowKnobs &knobs, const Target &target) {
    Space().settle(knobs);
    const Problem &p = parts.problem;
    const int lanes = target.natural_vector_size(p.type), size = p.window.size;
    Var xi("xi");
    make_tasks(parts.output, Problem::few_rows, lanes, {xo, c, line});
    parts.sum.compute_at(parts.output, xo).vectorize(x, lanes, whole);
    parts.sum.update().reorder(x, parts.columns.x, parts.columns.y).vectorize(x, lanes, whole).unroll(parts.columns.y);
    schedule_table(parts.giver, lanes);
    schedule_table(parts.giver_weight, lanes);
    parts.partial.compute_at(parts.output, task)
        .bound(y, 0, Problem::few_rows)
        .vectorize(x, lanes, whole)
        .never_partition_all();
    Stage giving = parts.partial.update();
    giving.allow_race_conditions()
        .split(x, xo, xi, lanes, whole)
        .vectorize(xi)
        .never_partition(c, parts.pixels.x, parts.pixels.y, tile_y, n);
    if (p.separable()) {
        giving.reorder({xi, xo, c, parts.pixels.x, parts.pixels.y, tile_y, n});
        return;
    }
    giving.reorder({xi, jx, c, parts.pixels.x, xo, parts.pixels.y, tile_y, n}).unroll(jx);
    parts.edged.compute_at(parts.output, c)
        .bound(jx, 0, size)
        .reorder(jx, x, y, c, tile_y, n)
        .vectorize(x, lanes, whole)
        .unroll(jx)
        .never_partition(y, c, tile_y, n);
    parts.partial.bound(jx, 0, size);
    parts.weights.window.compute_at(parts.partial, xo).bound_extent(x, lanes);
    schedule_weights(p, parts.weights, parts.weights.window, lanes);
}

void schedule_few_channels_on_cpu(ReassemblyWeightBackward &parts, const WindowKnobs &knobs, const Target &target) {
    Space().settle(knobs);
    const int lanes = target.natural_vector_size(parts.problem.type), size = parts.problem.window.size;
    schedule_table(parts.low_column, lanes);
    make_tasks(parts.output, Problem::strip_rows, lanes, {tap, xo, line});
    parts.output.bound(tap, 0, parts.problem.op.taps.count()).unroll(tap);
    parts.d_window.compute_at(parts.output, xo).vectorize(x, lanes, whole);
    unroll_inner(parts.d_window, {size, size});
    parts.d_window.update().reorder(x, jx, jy, parts.channel.x).vectorize(x, lanes, whole).unroll(jx).unroll(jy);
    schedule_weights_backward(parts, xo, lanes);
}

}  // namespace upwell
