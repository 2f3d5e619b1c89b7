// CPU schedules of cells times the index of their pixels: lanes are columns of pixels or of cells. A task has a few
// rows of a few groups, and finds their index once for all channels of a group.
#include "schedules/index_unpool.h"

namespace upwell::index_unpool {

using namespace Halide;

namespace {

constexpr auto guard = TailStrategy::GuardWithIf;
constexpr int task_elements = 1 << 16;

const Var strip("strip"), chunk("chunk"), xo("xo");

Expr at_least_one(const Expr &number, const Expr &most) {
    return max(min(number, most), 1);
}

// Rows and groups in tasks. inner: the loops of a group and its rows.
void by_tasks(Func f, const Problem &p, const Var &row, const Expr &rows, std::vector<VarOrRVar> inner) {
    const Expr of_row = max(p.W * p.S * p.channels, 1);
    inner.insert(inner.end(), {g, strip, chunk, n});
    f.split(row, strip, row, at_least_one(task_elements / of_row, rows), guard)
        .split(g, chunk, g, at_least_one(task_elements / of_row / max(p.J, 1), p.groups), guard)
        .reorder(inner)
        .parallel(n)
        .parallel(chunk)
        .parallel(strip);
}

// Scratch of a group or a row, in memory of a task.
Func &hold(Func &scratch, const Func &user, const Var &at, const Var &lane, int lanes) {
    return scratch.compute_at(user, at).hoist_storage(user, strip).vectorize(lane, lanes, guard);
}

}  // namespace

void schedule_on_cpu(Unpooled &parts, const Target &target) {
    const int lanes = target.natural_vector_size(parts.problem.type);
    parts.output.split(x, xo, x, lanes, guard).vectorize(x);
    by_tasks(parts.output, parts.problem, j, parts.problem.J, {x, s, xo, j, c});
    hold(parts.by_x, parts.output, g, x, lanes);
    parts.cells.compute_at(parts.output, xo).vectorize(x, lanes, guard);
}

void schedule_on_cpu(DValue &parts, const Target &target) {
    const int lanes = target.natural_vector_size(parts.problem.type);
    parts.d_value.split(u, xo, u, lanes, guard).vectorize(u);
    by_tasks(parts.d_value, parts.problem, v, parts.problem.h, {u, xo, v, c});
    hold(parts.by_x, parts.d_value, g, x, lanes);
    hold(parts.columns, parts.d_value, v, x, lanes);
    parts.columns.update().reorder(x, parts.pixels.x, parts.pixels.y).vectorize(x, lanes, guard);
    parts.sum.compute_at(parts.d_value, xo).vectorize(u, lanes, guard);
    parts.sum.update().reorder(u, parts.in_cell).vectorize(u, lanes, guard);
}

void schedule_on_cpu(DIndex &parts, const Target &target) {
    const int lanes = target.natural_vector_size(parts.problem.type);
    parts.d_index.vectorize(q, lanes, guard);
    by_tasks(parts.d_index, parts.problem, j, parts.problem.J, {q, b, s, j});
    hold(parts.sum, parts.d_index, g, x, lanes);
    parts.sum.update().split(x, xo, x, lanes, guard).reorder(x, s, xo, j, parts.channels).vectorize(x);
    parts.cells.compute_at(parts.sum, xo).vectorize(x, lanes, guard);
}

}  // namespace upwell::index_unpool
