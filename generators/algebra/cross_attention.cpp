#include "algebra/cross_attention.h"

#include "algebra/numbers.h"

namespace upwell::cross_attention {

using namespace Halide;

namespace {

Expr none(const Problem &p) {
    return Internal::make_zero(p.query.types()[0]);
}

// Column u of tile t; the last tile may reach beyond the map.
Expr column(const Problem &p) {
    return min(likely(t * tile + u), p.W - 1);
}

Expr cell_column(const Problem &p, Expr at) {
    return unsafe_promise_clamped(p.tile_first(t) + min(at, p.columns - 1), 0, p.w - 1);
}

Expr cell_row(const Problem &p, Expr at) {
    return unsafe_promise_clamped(p.row_first(y) + at, 0, p.h - 1);
}

// Whether the pixel in column px of row py sees a cell.
Expr is_seen(const Problem &p, const Expr &px, const Expr &py, const Expr &cell, const Expr &row) {
    return cell >= p.column_begin(px) && cell < p.column_end(px) && row >= p.row_begin(py) && row < p.row_end(py);
}

// One of those that a tile is compared with.
Expr is_seen(const Problem &p, const Expr &at_i, const Expr &at_j) {
    return is_seen(p, column(p), y, p.tile_first(t) + at_i, p.row_first(y) + at_j);
}

// Of a head's weight in the weight that channels get.
Expr share(const Problem &p) {
    const Type type = p.query.types()[0];
    return p.mean ? 1 / cast(type, p.heads) : Internal::make_one(type);
}

// Halide's may not know a nan.
Expr exponential(Expr of) {
    return with_nan_of(of, exp(of));
}

// Adds weight * value, where it counts if anything is left out.
void add_where(const Problem &p, const Expr &counts, FuncRef sum, const Expr &weight, const Expr &value) {
    const Expr so_far = sum;
    sum = p.leaves_out ? select(counts, so_far + weight * value, so_far) : so_far + weight * value;
}

// What weighs nothing does not count.
void add(const Problem &p, FuncRef sum, const Expr &weight, const Expr &value) {
    add_where(p, weight != none(p), sum, weight, value);
}

Expr head_of_value(const Problem &p, Expr head) {
    return p.mean ? Expr(0) : head;
}

}  // namespace

Weights::Weights(const Problem &p)
    : dots("dots"), largest("largest"), exponentials("exponentials"), total("total"), depth(0, p.depth, "depth"),
      cells(0, p.columns, 0, p.rows, "cells") {
    const Expr px = column(p);
    dots(u, t, y, i, j, g, n) = none(p);
    dots(u, t, y, i, j, g, n) += p.query(px, y, depth, g, n) * p.key(cell_column(p, i), cell_row(p, j), depth, g, n);
    const auto score = [&](Expr at_i, Expr at_j) { return p.scale * dots(u, t, y, at_i, at_j, g, n); };
    largest(u, t, y, g, n) = p.query.types()[0].min();
    largest(u, t, y, g, n) = max(largest(u, t, y, g, n), select(is_seen(p, cells.x, cells.y), score(cells.x, cells.y),
                                                                p.query.types()[0].min()));
    exponentials(u, t, y, i, j, g, n) =
        select(is_seen(p, i, j), exponential(score(i, j) - largest(u, t, y, g, n)), none(p));
    total(u, t, y, g, n) = none(p);
    total(u, t, y, g, n) += exponentials(u, t, y, cells.x, cells.y, g, n);
}

Forward::Forward(const Problem &p)
    : problem(p), weights(p), sums("sums"), output("output"), heads(0, p.heads, "heads"),
      cells(0, p.columns, 0, p.rows, "summed") {
    sums(u, t, y, c, g, n) = none(p);
    // A block of channels may reach beyond them.
    const Expr value = p.value(cell_column(p, cells.x), cell_row(p, cells.y), min(c, p.channels - 1), g, n);
    const Expr own_tile = x / tile, own_column = x % tile;
    if (!p.mean) {
        add(p, sums(u, t, y, c, g, n), weights.exponentials(u, t, y, cells.x, cells.y, g, n), value);
        output(x, y, c, g, n) = sums(own_column, own_tile, y, c, g, n) / weights.total(own_column, own_tile, y, g, n);
        return;
    }
    mean = Func("mean");
    mean(u, t, y, i, j, n) = none(p);
    mean(u, t, y, i, j, n) += weights.exponentials(u, t, y, i, j, heads, n) /
                              (weights.total(u, t, y, heads, n) * cast(p.query.types()[0], p.heads));
    add(p, sums(u, t, y, c, g, n), mean(u, t, y, cells.x, cells.y, n), value);
    output(x, y, c, g, n) = sums(own_column, own_tile, y, c, g, n);
}

WeightGradients::WeightGradients(const Problem &p, Func d_output)
    : d_weights("d_weights"), channels(0, p.channels, "channels") {
    d_weights(u, t, y, i, j, g, n) = none(p);
    d_weights(u, t, y, i, j, g, n) +=
        d_output(column(p), y, channels, g, n) * p.value(cell_column(p, i), cell_row(p, j), channels, g, n);
}

Statistics::Statistics(const Problem &p, Func d_output)
    : problem(p), weights(p), gradients(p, d_output), inner("inner"), output("statistics"),
      cells(0, p.columns, 0, p.rows, "summed") {
    inner(u, t, y, g, n) = none(p);
    add(p, inner(u, t, y, g, n), weights.exponentials(u, t, y, cells.x, cells.y, g, n),
        gradients.d_weights(u, t, y, cells.x, cells.y, head_of_value(p, g), n));
    const Expr own_tile = x / tile, own_column = x % tile, total = weights.total(own_column, own_tile, y, g, n);
    const Expr logarithm = weights.largest(own_column, own_tile, y, g, n) + log(total);
    output(x, y, g, n) = Tuple(with_nan_of(total, logarithm), share(p) * inner(own_column, own_tile, y, g, n) / total);
}

OfPixels::OfPixels(const Problem &p, Func d_output, Func logarithm, Func inner)
    : problem(p), weights(p), gradients(p, d_output), factors("factors"), sums("sums"), output("d_query"),
      cells(0, p.columns, 0, p.rows, "summed") {
    const Expr px = column(p);
    const Expr weight = exponential(p.scale * weights.dots(u, t, y, i, j, g, n) - logarithm(px, y, g, n));
    factors(u, t, y, i, j, g, n) = select(
        is_seen(p, i, j),
        p.scale * weight * (share(p) * gradients.d_weights(u, t, y, i, j, head_of_value(p, g), n) - inner(px, y, g, n)),
        none(p));
    sums(u, t, y, c, g, n) = none(p);
    // An infinite key has a factor of 0 and counts.
    add_where(p, is_seen(p, cells.x, cells.y), sums(u, t, y, c, g, n), factors(u, t, y, cells.x, cells.y, g, n),
              p.key(cell_column(p, cells.x), cell_row(p, cells.y), min(c, p.depth - 1), g, n));
    output(x, y, c, g, n) = sums(x % tile, x / tile, y, c, g, n);
}

OfCells::OfCells(const Problem &p, Func d_output, Func logarithm, Func inner, const Seeing &seeing, Form form,
                 bool by_key)
    : problem(p), seeing(seeing), dots("dots"), d_weights("d_weights"), factors("factors"), row_sums("row_sums"),
      partial("partial"), total("total"), output(by_key ? "d_key" : "d_value"), depth(0, p.depth, "depth"),
      channels(0, p.channels, "channels"), heads(0, p.heads, "heads"), side_by_side(0, lanes, "side_by_side") {
    const bool gathers = form == Form::Gather;
    const Expr own_block = min(t, (p.w - 1) / block);  // some blocks at a time may reach beyond the last
    const Expr first = unsafe_promise_clamped(seeing.first_pixel(own_block), 0, p.W - 1);
    const Expr cell = t * block + b, own_cell = min(cell, p.w - 1), row = gathers ? Expr(y) : cell_row(p, k);
    const auto line = [&](const Expr &of_k) {
        return gathers ? unsafe_promise_clamped(seeing.first_line(y) + of_k, 0, p.H - 1) : Expr(y);
    };
    const Expr far = first + v, px = min(likely(far), p.W - 1), py = line(k), head = head_of_value(p, g);
    dots(v, b, t, k, y, g, n) = none(p);
    dots(v, b, t, k, y, g, n) += p.query(px, py, depth, g, n) * p.key(own_cell, row, depth, g, n);
    const auto where_seen = [&](const Expr &of_weight) {
        return select(far < p.W && is_seen(p, px, py, cell, row), of_weight, none(p));
    };
    const auto weight = [&](Expr of_head) {
        return exponential(p.scale * dots(v, b, t, k, y, of_head, n) - logarithm(px, py, of_head, n));
    };
    if (by_key) {
        d_weights(v, b, t, k, y, g, n) = none(p);
        d_weights(v, b, t, k, y, g, n) += d_output(px, py, channels, g, n) * p.value(own_cell, row, channels, g, n);
        const Expr of_weight = share(p) * d_weights(v, b, t, k, y, head, n) - inner(px, py, g, n);
        factors(v, b, t, k, y, g, n) = where_seen(weight(g) * of_weight * p.scale);
    } else if (p.mean) {
        factors(v, b, t, k, y, g, n) = none(p);
        factors(v, b, t, k, y, g, n) += where_seen(share(p) * weight(heads));
    } else {
        factors(v, b, t, k, y, g, n) = where_seen(weight(g));
    }
    const Expr count = seeing.pixels / lanes;
    pixels = gathers ? RDom(0, count, 0, seeing.lines, "pixels") : RDom(0, count, "pixels");
    const Expr at = pixels.x * lanes + lane, summed = min(likely(first + at), p.W - 1);
    const auto add_pixels = [&](FuncRef sum, const Expr &of_k) {
        const Expr given = by_key ? p.query(summed, line(of_k), min(c, p.depth - 1), g, n)
                                  : d_output(summed, line(of_k), min(c, p.channels - 1), g, n);
        add(p, sum, factors(at, b, t, of_k, y, g, n), given);
    };
    partial(lane, b, c, t, y, g, n) = none(p);
    if (gathers) {
        add_pixels(partial(lane, b, c, t, y, g, n), pixels.y);
    } else {
        // Rows of pixels in turn, each for all rows of cells that it sees: what it holds is read once.
        rows = RDom(0, p.rows, 0, p.H, "rows");
        row_sums(lane, b, c, t, k, y, g, n) = none(p);
        add_pixels(row_sums(lane, b, c, t, k, y, g, n), k);
        const Expr cells = unsafe_promise_clamped(p.row_first(rows.y) + rows.x, 0, p.h - 1);
        partial(lane, b, c, t, cells, g, n) += row_sums(lane, b, c, t, rows.x, rows.y, g, n);
    }
    total(x, y, c, g, n) = none(p);
    total(x, y, c, g, n) += partial(side_by_side, x % block, c, x / block, y, g, n);
    output(x, y, c, g, n) = total(x, y, c, g, n);
}

}  // namespace upwell::cross_attention
