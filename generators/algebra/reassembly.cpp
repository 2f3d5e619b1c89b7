#include "reassembly.h"

#include "dimensions.h"

namespace upwell {

using namespace Halide;
using Internal::const_true, Internal::make_const, Internal::make_one, Internal::make_zero;

namespace {

// The low-res map, its edge repeated (beyond a zero border weights are 0), and its last channel for the channels that
// a rounded-up block asks for.
Expr extended(const Problem &p, Func value, Expr column, Expr row) {
    return value(clamp(column, 0, p.columns->low - 1), clamp(row, 0, p.rows->low - 1), clamp(c, 0, p.channels - 1), n);
}

// Exact: pixel column x, shifted so that a cell starts at a multiple of the ratio, holds the value of its cell;
// window column j of pixel x is then spread(x + ratio j). Else: channels first.
Func spread_value(const Problem &p, Func value) {
    Func spread("spread_value");
    if (p.exact()) {
        spread(x, y, c, n) = extended(p, value, x / p.columns->ratio(), y);
    } else {
        spread(c, x, y, n) = extended(p, value, x, y);
    }
    return spread;
}

Expr window_cell(const Problem &p, Func spread, Expr px, Expr py, Expr channel, Expr column, Expr row) {
    const Expr cell_row = p.rows->base(py) + p.window.first + row;
    if (p.exact()) {
        return spread(px - p.columns->shift() + p.columns->ratio() * (p.window.first + column), cell_row, channel, n);
    }
    return spread(channel, p.columns->base(px) + p.window.first + column, cell_row, n);
}

}  // namespace

Reassembly::Reassembly(const Problem &p, Func value, Func logits)
    : problem(p), weights(window_weights(p.op, *p.columns, *p.rows, logits)), spread(spread_value(p, value)),
      window(0, p.window.size, 0, p.window.size, "window"), sum("window_sum"), output("reassembled") {
    const Expr product = weights.window(x, y, window.x, window.y, n) *
                         window_cell(p, spread, x, y, c, window.x, window.y);
    if (p.exact()) {
        sum(x, y, c, n) = make_zero(p.type);
        sum(x, y, c, n) += product;
        output(x, y, c, n) = sum(x, y, c, n);
    } else {
        sum(c, x, y, n) = make_zero(p.type);
        sum(c, x, y, n) += product;
        output(x, y, c, n) = sum(c, x, y, n);
    }
}

ReassemblyValueAdjoint::ReassemblyValueAdjoint(const Problem &p, Func logits, Func d_output)
    : problem(p), weights(window_weights(p.op, *p.columns, *p.rows, logits)),
      folded(fold_border(p.op, *p.columns, *p.rows, weights.window)), gradient("gradient"), partial("partial"),
      padded("padded"), gathered("gathered"),      sum("d_value_sum"), output("d_value") {
    const int size = p.window.size, first = p.window.first;
    const Expr column = p.columns->pixel(x), row = p.rows->pixel(y);
    if (p.exact()) {
        const int ratio = p.columns->ratio(), shift = p.columns->shift();
        gradient(x, y, c, n) = d_output(column, row, clamp(c, 0, p.channels - 1), n);
        pixels = RDom(0, p.rows->ratio(), 0, size, "pixels");
        columns = RDom(0, ratio, "columns");
        // Rows first: each window column of a low-res row, at high-res columns.
        const Expr pixel_row = p.rows->begin(y - first - pixels.y) + pixels.x;
        partial(x, y, jx, c, n) = make_zero(p.type);
        partial(x, y, jx, c, n) += folded.window(x, pixel_row, jx, pixels.y, n) * gradient(x, pixel_row, c, n);
        // No pixel is left or right of the image, so nothing comes from there.
        padded(x, y, jx, c, n) = make_zero(p.type);
        pixel_columns = RDom(0, p.columns->high, "pixel_columns");
        padded(pixel_columns, y, jx, c, n) = partial(pixel_columns, y, jx, c, n);
        // Then columns: window columns brought to their cell, and the pixels of a cell summed.
        Expr at_cell = make_zero(p.type);
        for (int column = 0; column < size; column++) {
            at_cell = at_cell + padded(x + shift - ratio * (first + column), y, column, c, n);
        }
        gathered(x, y, c, n) = at_cell;
        sum(x, y, c, n) = make_zero(p.type);
        sum(x, y, c, n) += gathered(ratio * x + columns, y, c, n);
        output(x, y, c, n) = sum(x, y, c, n);
        return;
    }
    gradient(c, x, y, n) = d_output(column, row, clamp(c, 0, p.channels - 1), n);
    pixels = RDom(0, p.columns->longest_cell(), 0, p.rows->longest_cell(), 0, size, 0, size, "pixels");
    const auto pixel = [&](const Axis &axis, Expr cell, Expr step) {
        return std::make_pair(axis.begin(cell) + step, axis.begin(cell) + step < axis.begin(cell + 1));
    };
    const auto [px, in_column] = pixel(*p.columns, x - first - pixels[2], pixels[0]);
    const auto [py, in_row] = pixel(*p.rows, y - first - pixels[3], pixels[1]);
    pixels.where(in_column && in_row);
    sum(c, x, y, n) = make_zero(p.type);
    sum(c, x, y, n) += folded.window(clamp(px, 0, p.columns->high - 1), clamp(py, 0, p.rows->high - 1), pixels[2], pixels[3], n) *
                       gradient(c, clamp(px, 0, p.columns->high - 1), clamp(py, 0, p.rows->high - 1), n);
    output(x, y, c, n) = sum(c, x, y, n);
}

ReassemblyWeightAdjoint::ReassemblyWeightAdjoint(const Problem &p, Func value, Func logits, Func d_output)
    : problem(p), weights(window_weights(p.op, *p.columns, *p.rows, logits)), spread(spread_value(p, value)),
      gradient("gradient"), channel(0, p.channels, "channel"), d_window("d_window"), output("d_weight") {
    const Expr column = p.columns->pixel(x), row = p.rows->pixel(y);
    Expr d_pixel;
    if (p.exact()) {
        d_pixel = d_output(column, row, channel, n);
    } else {
        gradient(c, x, y, n) = d_output(column, row, clamp(c, 0, p.channels - 1), n);
        d_pixel = gradient(channel, x, y, n);
    }
    d_window(x, y, jx, jy, n) = make_zero(p.type);
    d_window(x, y, jx, jy, n) += d_pixel * window_cell(p, spread, x, y, channel, jx, jy);
    adjoint = window_weights_adjoint(p.op, *p.columns, *p.rows, weights, d_window);
    output(x, y, tap, n) = adjoint.d_input(x, y, tap, n);
}

}  // namespace upwell
