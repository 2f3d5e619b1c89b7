#include "algebra/offset_samples.h"

#include "algebra/numbers.h"

namespace upwell::offset_samples {

using namespace Halide;
using Internal::make_zero;

namespace {

// Where a pixel reads along one axis.
struct Along {
    Expr lower, upper, fraction, is_free;

    Along(Expr own_cell, Expr offset, Expr cells) {
        const Type type = offset.type();
        const Expr none = make_zero(type), last = cast(type, cells - 1), sought = cast(type, own_cell) + offset;
        const Expr is_nan = is_nan_bits(sought), position = select(is_nan, none, clamp(sought, none, last));
        lower = clamp(cast<int>(floor(position)), 0, cells - 1);
        upper = min(lower + 1, cells - 1);
        fraction = select(is_nan, sought, position - cast(type, lower));
        is_free = sought > none && sought < last;
    }

    Expr end(int second) const { return second ? upper : lower; }
    Expr weight(int second) const { return second ? fraction : 1 - fraction; }
    Expr slope(int second) const { return cast(fraction.type(), second ? 1 : -1); }
};

// Of each corner k one expression.
template<class F> Tuple of_corners(const F &f) {
    std::vector<Expr> values;
    for (int k = 0; k < corners; k++) {
        values.push_back(f(k));
    }
    return Tuple(values);
}

Expr inside(const Problem &p, const Expr &at) {
    return unsafe_promise_clamped(at, 0, p.width * p.height - 1);
}

// Channels innermost; beyond the last the last again, or 0.
Func by_channels(const std::string &name, Func map, const std::vector<Var> &place, const Problem &p, bool zero) {
    std::vector<Expr> from(place.begin(), place.end());
    from.insert(from.end(), {clamp(c, 0, p.channels - 1), g, n});
    std::vector<Var> to{c};
    to.insert(to.end(), place.begin(), place.end());
    to.insert(to.end(), {g, n});
    Func turned(name);
    turned(to) = zero ? select(c < p.channels, map(from), make_zero(p.type)) : map(from);
    return turned;
}

}  // namespace

Reads::Reads(const Problem &p)
    : cells("cells"), weights("weights"), across("across"), down("down"), is_free("is_free"), box("box") {
    const Expr place = unsafe_promise_clamped(p.columns(x, 1) + p.rows(y, 1), 0, p.places - 1);
    const Along u(p.columns(x, 0), p.offsets(place, g, 0, n), p.width),
        v(p.rows(y, 0), p.offsets(place, g, 1, n), p.height);
    cells(x, y, g, n) = of_corners([&](int k) { return v.end(k / 2) * p.width + u.end(k % 2); });
    weights(x, y, g, n) = of_corners([&](int k) { return v.weight(k / 2) * u.weight(k % 2); });
    across(x, y, g, n) = of_corners([&](int k) { return v.weight(k / 2) * u.slope(k % 2); });
    down(x, y, g, n) = of_corners([&](int k) { return v.slope(k / 2) * u.weight(k % 2); });
    is_free(x, y, g, n) = Tuple(u.is_free, v.is_free);
    box(x, y, g, n) = Tuple(u.lower, u.upper, v.lower, v.upper);
}

Samples::Samples(const Problem &p, Func value)
    : problem(p), reads(p), low(by_channels("low", value, {cell}, p, false)), high("high"), output("output") {
    Expr sum = make_zero(p.type);
    for (int k = 0; k < corners; k++) {
        sum += reads.weights(x, y, g, n)[k] * low(c, inside(p, reads.cells(x, y, g, n)[k]), g, n);
    }
    high(c, x, y, g, n) = sum;
    output(x, y, c, g, n) = high(c, x, y, g, n);
}

DValue::DValue(const Problem &p, Func d_output)
    : problem(p), reads(p), high(by_channels("high", d_output, {x, y}, p, false)), low("low"), row_reads("row_reads"),
      column_reads("column_reads"), of_row("of_row"), of_map("of_map"), d_value("d_value") {
    if (p.form == Form::Scan) {
        scatter();
    } else {
        gather();
    }
}

void DValue::scatter() {
    const Problem &p = problem;
    pixels = RDom(0, corners, 0, p.pixel_columns, 0, p.pixel_rows, "pixels");
    const auto corner = [&](Func of) {
        const FuncRef at = of(pixels.y, pixels.z, g, n);
        return mux(pixels.x, {at[0], at[1], at[2], at[3]});
    };
    low(c, cell, g, n) = make_zero(p.type);
    low(c, inside(p, corner(reads.cells)), g, n) += corner(reads.weights) * high(c, pixels.y, pixels.z, g, n);
    d_value(cell, c, g, n) = low(c, cell, g, n);
}

void DValue::gather() {
    const Problem &p = problem;
    columns = RDom(0, p.pixel_columns, "columns");
    rows = RDom(0, p.pixel_rows, "rows");
    row_reads(y, g, n) = Tuple(p.height, 0);
    row_reads(y, g, n) = Tuple(min(row_reads(y, g, n)[0], reads.box(columns, y, g, n)[2]),
                               max(row_reads(y, g, n)[1], reads.box(columns, y, g, n)[3]));
    column_reads(x, g, n) = Tuple(p.width, 0);
    column_reads(x, g, n) = Tuple(min(column_reads(x, g, n)[0], reads.box(x, rows, g, n)[0]),
                                  max(column_reads(x, g, n)[1], reads.box(x, rows, g, n)[1]));

    // What pixels of a row give to some channels of a cell, and then rows.
    const auto is_read = [](const FuncRef &first_and_last, const Expr &at) {
        return first_and_last[0] <= at && at <= first_and_last[1];
    };
    pixels = RDom(0, p.pixel_columns, "pixels");
    pixels.where(is_read(column_reads(pixels, g, n), cell % p.width));
    lines = RDom(0, p.pixel_rows, "lines");
    lines.where(is_read(row_reads(lines, g, n), cell / p.width));
    Expr share = make_zero(p.type);
    for (int k = 0; k < corners; k++) {
        share += select(reads.cells(pixels, y, g, n)[k] == cell, reads.weights(pixels, y, g, n)[k], make_zero(p.type));
    }
    const Tuple none(std::vector<Expr>(gathered, make_zero(p.type)));
    of_row(y, block, cell, g, n) = none;
    of_map(block, cell, g, n) = none;
    std::vector<Expr> row_sums, sums, channels;
    for (int i = 0; i < gathered; i++) {
        const Expr sum = of_row(y, block, cell, g, n)[i];
        row_sums.push_back(select(share == 0, sum, sum + share * high(block * gathered + i, pixels, y, g, n)));
        sums.push_back(of_map(block, cell, g, n)[i] + of_row(lines, block, cell, g, n)[i]);
        channels.push_back(of_map(c / gathered, cell, g, n)[i]);
    }
    of_row(y, block, cell, g, n) = Tuple(row_sums);
    of_map(block, cell, g, n) = Tuple(sums);
    d_value(cell, c, g, n) = mux(c % gathered, channels);
}

DOffsets::DOffsets(const Problem &p, Func d_output, Func value)
    : problem(p), reads(p), low(by_channels("low", value, {cell}, p, true)),
      high(by_channels("high", d_output, {x, y}, p, true)), blocks(0, (p.channels + p.lanes - 1) / p.lanes, "blocks"),
      lane_dots("lane_dots"), lanes(0, p.lanes, "lanes"), dots("dots"), d_offsets("d_offsets") {
    const Tuple nothing = of_corners([&](int) { return make_zero(p.type); });
    const Expr channel = blocks * p.lanes + lane;
    lane_dots(lane, x, y, g, n) = nothing;
    lane_dots(lane, x, y, g, n) = of_corners([&](int k) {
        return lane_dots(lane, x, y, g, n)[k] +
               high(channel, x, y, g, n) * low(channel, inside(p, reads.cells(x, y, g, n)[k]), g, n);
    });
    dots(x, y, g, n) = nothing;
    dots(x, y, g, n) = of_corners([&](int k) { return dots(x, y, g, n)[k] + lane_dots(lanes, x, y, g, n)[k]; });
    const Expr none = make_zero(p.type);
    Expr by_x = none, by_y = none;
    for (int k = 0; k < corners; k++) {
        by_x += reads.across(x, y, g, n)[k] * dots(x, y, g, n)[k];
        by_y += reads.down(x, y, g, n)[k] * dots(x, y, g, n)[k];
    }
    const FuncRef is_free = reads.is_free(x, y, g, n);  // a nan that nothing is made of stays out
    d_offsets(x, y, g, axis, n) = select(axis == 0, select(is_free[0], by_x, none), select(is_free[1], by_y, none));
}

}  // namespace upwell::offset_samples
