#include "algebra/index_unpool.h"

namespace upwell::index_unpool {

using namespace Halide;
using Internal::make_zero;

namespace {

// The index at column x of pixels. Behind the last row, where the last task has fewer, the last one again.
Expr index_at(const Problem &p, Func index, Expr row) {
    return index(unsafe_promise_clamped(p.columns(x, 1), 0, p.Q - 1),
                 unsafe_promise_clamped(p.columns(x, 2), 0, p.B - 1), s, unsafe_promise_clamped(row, 0, p.J - 1), g, n);
}

// The cells of a row of pixels.
Func at_columns(const Problem &p, Func value) {
    Func cells("cells");
    cells(x, j, c, g, n) = value(unsafe_promise_clamped(p.columns(x, 0), 0, p.w - 1),
                                 unsafe_promise_clamped(p.rows(min(j, p.J - 1)), 0, p.h - 1), c, g, n);
    return cells;
}

}  // namespace

Unpooled::Unpooled(const Problem &p, Func value, Func index)
    : problem(p), by_x("by_x"), cells(at_columns(p, value)), output("output") {
    by_x(x, s, j, g, n) = index_at(p, index, min(j, p.J - 1));
    output(x, s, j, c, g, n) = by_x(x, s, j, g, n) * cells(x, j, c, g, n);
}

DValue::DValue(const Problem &p, Func d_output, Func index)
    : problem(p), by_x("by_x"), pixels(0, p.S, 0, p.most_j, "pixels"), columns("column_sums"),
      in_cell(0, p.most_x, "in_cell"), sum("sum"), d_value("d_value") {
    const auto row = [&](const Expr &of_cell) { return p.first_j(min(v, p.h - 1)) + of_cell; };
    by_x(x, s, k, v, g, n) = index_at(p, index, min(row(k), p.J - 1));
    pixels.where(row(pixels.y) < p.first_j(min(v, p.h - 1) + 1));
    const Expr at = unsafe_promise_clamped(row(pixels.y), 0, p.J - 1);
    columns(x, v, c, g, n) = make_zero(p.type);
    columns(x, v, c, g, n) += by_x(x, pixels.x, pixels.y, v, g, n) * d_output(x, pixels.x, at, c, g, n);
    const Expr column = p.first_x(u) + in_cell;
    sum(u, v, c, g, n) = make_zero(p.type);
    sum(u, v, c, g, n) +=
        select(column < p.first_x(u + 1), columns(clamp(column, 0, p.W - 1), v, c, g, n), make_zero(p.type));
    d_value(u, v, c, g, n) = sum(u, v, c, g, n);
}

DIndex::DIndex(const Problem &p, Func d_output, Func value)
    : problem(p), channels(0, p.channels, "channels"), cells(at_columns(p, value)), sum("sum"), d_index("d_index") {
    sum(x, s, j, g, n) = make_zero(p.type);
    sum(x, s, j, g, n) += d_output(x, s, min(j, p.J - 1), channels, g, n) * cells(x, j, channels, g, n);
    d_index(q, b, s, j, g, n) = sum(q * p.B + b, s, j, g, n);
}

}  // namespace upwell::index_unpool
