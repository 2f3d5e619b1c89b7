// CPU schedules of the window kernel and its transposes for maps of few channels where cells differ in size: lanes are
// pixel columns, and nothing of the size of a map is kept.
#include "../unroll.h"
#include "../window.h"

#include "algebra/dimensions.h"
#include "weights.h"

namespace upwell {

using namespace Halide;

namespace {

constexpr int task_rows = 16;

// Rows of an output in strips, each a task; one vector of columns after the other.
Var make_tasks(Func output, Var third, int rows, int lanes) {
    Var strip("strip"), line("line"), xo("xo"), xi("xi"), task("task");
    output.split(y, strip, line, rows, guard)
        .split(x, xo, xi, lanes, guard)
        .reorder(xi, third, xo, line, strip, n)
        .vectorize(xi)
        .fuse(strip, n, task)
        .parallel(task)
        .never_partition_all();
    return xo;
}

}  // namespace

// The weights of a vector of pixels serve all channels.
void schedule_few_channels_on_cpu(Reassembly &parts, const WindowKnobs &knobs, const Target &target) {
    Space().settle(knobs);
    const Problem &p = parts.problem;
    const int lanes = target.natural_vector_size(p.type);
    const Var xo = make_tasks(parts.output, c, task_rows, lanes);
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
void schedule_few_channels_on_cpu(ReassemblyValueAdjoint &parts, const WindowKnobs &knobs, const Target &target) {
    Space().settle(knobs);
    const Problem &p = parts.problem;
    const int lanes = target.natural_vector_size(p.type), size = p.window.size;
    Var strip("strip"), low_row("low_row"), xo("xo"), xi("xi"), task("task");
    parts.output.split(y, strip, low_row, Problem::few_rows, guard)
        .split(x, xo, xi, lanes, guard)
        .reorder(xi, xo, c, low_row, strip, n)
        .vectorize(xi)
        .fuse(strip, n, task)
        .parallel(task)
        .never_partition_all();
    parts.sum.compute_at(parts.output, xo).vectorize(x, lanes, whole);
    parts.sum.update().reorder(x, parts.columns.x, parts.columns.y).vectorize(x, lanes, whole).unroll(parts.columns.y);
    parts.edged.compute_at(parts.output, c)
        .bound(jx, 0, size)
        .reorder(jx, x, y, c, tile_y, n)
        .vectorize(x, lanes, whole)
        .unroll(jx)
        .never_partition_all();
    parts.partial.compute_at(parts.output, task)
        .bound(jx, 0, size)
        .bound(y, 0, Problem::few_rows)
        .vectorize(x, lanes, whole)
        .never_partition_all();
    parts.partial.update()
        .allow_race_conditions()
        .split(x, xo, xi, lanes, whole)
        .reorder({xi, jx, c, parts.pixels.x, xo, parts.pixels.y, tile_y, n})
        .vectorize(xi)
        .unroll(jx)
        .never_partition_all();
    parts.weights.window.compute_at(parts.partial, xo).bound_extent(x, lanes);
    schedule_weights(p, parts.weights, parts.weights.window, lanes);
}

void schedule_few_channels_on_cpu(ReassemblyWeightAdjoint &parts, const WindowKnobs &knobs, const Target &target) {
    Space().settle(knobs);
    const int lanes = target.natural_vector_size(parts.problem.type), size = parts.problem.window.size;
    const Var xo = make_tasks(parts.output, tap, task_rows, lanes);
    parts.output.bound(tap, 0, parts.problem.op.taps.count()).unroll(tap);
    parts.d_window.compute_at(parts.output, xo).vectorize(x, lanes, whole);
    unroll_inner(parts.d_window, {size, size});
    parts.d_window.update()
        .reorder(x, jx, jy, parts.channel.x)
        .vectorize(x, lanes, whole)
        .unroll(jx)
        .unroll(jy);
    schedule_weights_adjoint(parts, xo, lanes);
}

}  // namespace upwell
