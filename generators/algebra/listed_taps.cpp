#include "algebra/listed_taps.h"

namespace upwell::listed_taps {

using namespace Halide;

namespace {

Expr none(const Func &map) {
    return Internal::make_zero(map.types()[0]);
}

// Of u in tile b.
Expr place_in(const Map &map) {
    return b * map.tile + u;
}

// The last tile may reach beyond the map.
Expr column(const Map &map) {
    return min(likely(place_in(map)), map.W - 1);
}

Expr across(const Taps &taps, const Expr &tap) {
    return unsafe_promise_clamped(taps.across(tap), -taps.reach_x, taps.reach_x);
}

Expr down(const Taps &taps, const Expr &tap) {
    return unsafe_promise_clamped(taps.down(tap), -taps.reach_y, taps.reach_y);
}

// Of a channel beyond the last: the last one's.
Func lines_of(const Map &map, const Taps &taps) {
    const Expr place = clamp(x + taps.reach_x, 0, map.W + 2 * taps.reach_x - 1);
    const Expr is_own = map.W == map.w && likely(x >= 0) && likely(x < map.w);
    const Expr column = unsafe_promise_clamped(select(is_own, x, map.columns(place)), 0, map.w - 1);
    const Expr row =
        unsafe_promise_clamped(map.rows(clamp(j + taps.reach_y, 0, map.h + 2 * taps.reach_y - 1)), 0, map.h - 1);
    Func lines("lines");
    lines(x, j, c, n) = map.value(column, row, min(c, map.channels - 1), n);
    return lines;
}

}  // namespace

Sum::Sum(const Map &map, const Taps &taps, Func weight)
    : lines(lines_of(map, taps)), of_tile("of_tile"), sums("sums"), output("output"), each(0, taps.count, "each"),
      is_dense(map.W == map.w) {
    of_tile(u, b, s, j, t, n) = weight(column(map), s, j, t, n);
    sums(u, b, s, j, c, n) = none(map.value);
    sums(u, b, s, j, c, n) +=
        of_tile(u, b, s, j, each, n) * lines(place_in(map) + across(taps, each), j + down(taps, each), c, n);
    output(x, s, j, c, n) = sums(x % map.tile, x / map.tile, s, j, c, n);
}

Dot::Dot(const Map &map, const Taps &taps, Func d_output)
    : lines("lines_of_channels"), products("products"), total("total"), output("d_weight"),
      channels(0, block, "channels"), blocks(0, (map.channels + block - 1) / block, "blocks"),
      is_dense(map.W == map.w) {
    lines(x, j, c, n) = select(c < map.channels, lines_of(map, taps)(x, j, c, n), none(map.value));
    const Expr tap = min(t, taps.count - 1), channel = k * block + channels;
    products(u, b, s, j, t, k, n) = none(map.value);
    // Beyond the last channel both are 0: an infinity times it would be a nan.
    const Expr by =
        select(channel < map.channels, d_output(column(map), s, j, min(channel, map.channels - 1), n), none(map.value));
    products(u, b, s, j, t, k, n) += by * lines(place_in(map) + across(taps, tap), j + down(taps, tap), channel, n);
    total(u, b, s, j, t, n) = none(map.value);
    total(u, b, s, j, t, n) += products(u, b, s, j, t, blocks, n);
    output(x, s, j, t, n) = total(x % map.tile, x / map.tile, s, j, t, n);
}

Transposed::Transposed(const Map &map, const Taps &taps, Func weight, Func d_output)
    : of_tile("of_tile"), lines("lines"), sums("sums"), output("extended"), each(0, map.S, 0, taps.count, "each") {
    const auto inside = [&](const Expr &column, const Expr &row) {
        return likely(column >= 0) && likely(column < map.W) && row >= 0 && row < map.h;
    };
    const auto on_map = [&](const Func &pixels, const Expr &column, const Expr &row, const Expr &channel) {
        return select(inside(column, row),
                      pixels(clamp(likely(column), 0, map.W - 1), s, clamp(row, 0, map.h - 1), channel, n),
                      none(d_output));
    };
    // Where the pixel stands that reads column x of row j as tap t.
    const auto reader_column = [&](const Expr &tap) { return place_in(map) - taps.reach_x - across(taps, tap); };
    const auto reader_row = [&](const Expr &tap) { return j - taps.reach_y - down(taps, tap); };
    of_tile(u, b, s, j, t, n) = on_map(weight, reader_column(t), reader_row(t), t);
    lines(x, s, j, c, n) = on_map(d_output, x, j, min(c, map.channels - 1));
    sums(u, b, j, c, n) = none(d_output);
    sums(u, b, j, c, n) +=
        of_tile(u, b, each.x, j, each.y, n) * lines(reader_column(each.y), each.x, reader_row(each.y), c, n);
    output(x, j, c, n) = sums(x % map.tile, x / map.tile, j, c, n);
}

Fold::Fold(Func extended, Func column_readers, Func row_readers, Expr columns_of_one, Expr rows_of_one, const Map &map)
    : of_rows("of_rows"), sums("sums"), output("d_value"), columns(0, columns_of_one, "columns"),
      rows(0, rows_of_one, "rows") {
    const Expr nothing = none(extended);
    const Expr row = row_readers(j, rows), place = column_readers(x, columns);
    rows.where(row >= 0);
    of_rows(x, j, c, n) = nothing;
    of_rows(x, j, c, n) += extended(x, unsafe_promise_clamped(row, 0, map.h - 1), c, n);
    sums(x, j, c, n) = nothing;
    sums(x, j, c, n) +=
        select(place >= 0, of_rows(unsafe_promise_clamped(max(place, 0), 0, map.W - 1), j, c, n), nothing);
    output(x, j, c, n) = sums(x, j, c, n);
}

}  // namespace upwell::listed_taps
