#include "algebra/wrc_prior.h"

#include "algebra/dimensions.h"
#include "algebra/log1p.h"

namespace upwell {

using namespace Halide;
using Internal::make_zero;

namespace {

constexpr int side = 3;  // of the taps
constexpr int z_part = side, lam_part = side + 1;
const Var part("part");

// The value of a pixel, 0 outside.
Expr inside(const LinearAxis &axis, Expr pixel, Expr value) {
    return select(pixel >= 0 && pixel < axis.high, value, make_zero(value.type()));
}

// cells(i) at a pixel.
template<class Cells> Expr blend(const LinearAxis &axis, Expr pixel, const Cells &cells) {
    return axis.weight(pixel, 0) * cells(axis.cell(pixel, 0)) + axis.weight(pixel, 1) * cells(axis.cell(pixel, 1));
}

}  // namespace

WrcPriorMaps::WrcPriorMaps(const WrcPriorProblem &p) : widened("widened"), u("u"), z("z"), precision("precision") {
    if (p.form == Form::Scan) {
        widen_by_blocks(p);
    } else {
        widen_by_pixels(p);
    }
    const LinearAxis &rows = p.rows.reads;
    const auto along_y = [&](Expr pixel, int i) {
        return blend(rows, pixel, [&](Expr row) { return widened(x, row, c)[i]; });
    };
    Expr sum = make_zero(p.type);
    for (int dy = 0; dy < side; dy++) {
        const Expr pixel = y + (dy - 1);
        sum += inside(rows, pixel, along_y(pixel, dy));
    }
    u(x, y, c) = sum;
    z(x, y, c) = along_y(y, z_part);
    precision(x, y, c) = log1p_square(u(x, y, c)) + p.lam(c);
}

void WrcPriorMaps::widen_by_pixels(const WrcPriorProblem &p) {
    const LinearAxis &columns = p.columns.reads;
    std::vector<Expr> sums;
    for (int dy = 0; dy < side; dy++) {
        Expr sum = make_zero(p.type);
        for (int dx = 0; dx < side; dx++) {
            const Expr pixel = x + (dx - 1);
            const auto cells = [&](Expr i) { return p.mixed(i, y, side * dy + dx, c); };
            sum += inside(columns, pixel, blend(columns, pixel, cells));
        }
        sums.push_back(sum);
    }
    sums.push_back(blend(columns, x, [&](Expr i) { return p.value(i, y, c); }));
    widened(x, y, c) = Tuple(sums);
}

void WrcPriorMaps::widen_by_blocks(const WrcPriorProblem &p) {
    const LinearAxis &columns = p.columns.reads;
    const Expr none = make_zero(p.type), first = columns.cell(x / block * block - 1, 0);
    // block + 2 pixels are (block + 1) (low - 1) / (high - 1) cells long.
    cells = RDom(0, (block + 1) * (columns.low - 1) / max(columns.high - 1, 1) + 3, "cells");

    const Var i("i"), dx("dx");
    cell_weights = Func("cell_weights");
    const Expr pixel = x + dx - 1;
    const auto share = [&](int side) {
        return select(columns.cell(pixel, side) == first + i, columns.weight(pixel, side), none);
    };
    cell_weights(x, i, dx) = inside(columns, pixel, share(0) + share(1));

    const Expr cell = clamp(first + cells, 0, columns.low - 1);
    const auto add = [&](Expr sum, int dx, Expr value) {
        const Expr weight = cell_weights(x, cells, dx);
        return select(weight > 0, sum + weight * value, sum);  // a nan stays with the pixels that read it
    };
    widened(x, y, c) = Tuple(std::vector<Expr>(side + 1, none));
    std::vector<Expr> sums;
    for (int dy = 0; dy < side; dy++) {
        Expr sum = widened(x, y, c)[dy];
        for (int dx = 0; dx < side; dx++) {
            sum = add(sum, dx, p.mixed(cell, y, side * dy + dx, c));
        }
        sums.push_back(sum);
    }
    sums.push_back(add(widened(x, y, c)[z_part], side / 2, p.value(cell, y, c)));
    widened(x, y, c) = Tuple(sums);
}

WrcPrior::WrcPrior(const WrcPriorProblem &p) : problem(p), maps(p), output("prior") {
    output(x, y, c) = Tuple(maps.precision(x, y, c), maps.precision(x, y, c) * maps.z(x, y, c));
}

WrcPriorBackward::WrcPriorBackward(const WrcPriorProblem &p, Func d_precision, Func d_weighted)
    : problem(p), maps(p), d_pixels("d_pixels"), d_widened("d_widened"), cell(0, p.rows.reads.low, "cell"),
      lam_rows("lam_rows"), column(0, p.columns.reads.high, "column"), lam_sum("lam_sum"),
      read(0, p.columns.count, "read"), value_sum("value_sum"), mixed_sum("mixed_sum"), d_value("d_value"),
      d_mixed("d_mixed"), d_lam("d_lam") {
    const Expr none = make_zero(p.type);
    const Expr at = clamp(likely(x), 0, p.columns.reads.high - 1);  // the last vector may reach beyond the image
    const Expr u = maps.u(x, y, c), given = d_weighted(at, y, c);
    const Expr d_lambda = d_precision(at, y, c) + given * maps.z(x, y, c);
    d_pixels(x, y, c) = Tuple(d_lambda * log1p_square_slope(u), given * maps.precision(x, y, c), d_lambda);

    // Along y. Pixel r is read by cells as pixel r + shift.
    const LinearAxis &rows = p.rows.reads;
    const auto shift = [](Expr part) { return select(part < side, part - 1, 0); };
    const auto d_pixel = [&](Expr row, Expr part) {
        const FuncRef d = d_pixels(x, row, c);
        return select(part < side, d[0], part == z_part, d[1], d[2]);
    };
    d_widened(x, y, part, c) = none;
    if (p.form == Form::Scan) {
        pixel = RDom(0, 2, 0, wrc_parts, 0, rows.high, "pixel");
        const Expr to = pixel.z + shift(pixel.y);
        const Expr at = rows.cell(to, pixel.x), before = d_widened(x, at, pixel.y, c);
        d_widened(x, at, pixel.y, c) =
            select(to >= 0 && to < rows.high, before + rows.weight(to, pixel.x) * d_pixel(pixel.z, pixel.y), before);
    } else {
        pixel = RDom(0, p.rows.count, "pixel");
        const Expr row = p.rows.first(y) + pixel - shift(part), weight = p.rows.weight(pixel, y);
        const Expr there = d_pixel(clamp(row, 0, rows.high - 1), part);
        d_widened(x, y, part, c) += select(weight > 0, inside(rows, row, weight * there), none);
    }

    lam_rows(x, c) = none;
    lam_rows(x, c) += d_widened(x, cell, lam_part, c);
    lam_sum(c) = none;
    lam_sum(c) += lam_rows(column, c);
    d_lam(c) = lam_sum(c);

    // And along x.
    const LinearAxis &columns = p.columns.reads;
    const Expr weight = p.columns.weight(read, x);
    const auto along_x = [&](Expr dx, Expr part) {
        const Expr at = p.columns.first(x) + read - dx;
        const Expr there = d_widened(clamp(at, 0, columns.high - 1), y, part, c);
        return select(weight > 0, inside(columns, at, weight * there), none);
    };
    value_sum(x, y, c) = none;
    value_sum(x, y, c) += along_x(0, z_part);
    mixed_sum(x, y, tap, c) = none;
    mixed_sum(x, y, tap, c) += along_x(tap % side - 1, tap / side);
    d_value(x, y, c) = value_sum(x, y, c);
    d_mixed(x, y, tap, c) = mixed_sum(x, y, tap, c);
}

}  // namespace upwell
