#include "algebra/reassembly.h"

#include "algebra/dimensions.h"

namespace upwell {

using namespace Halide;
using Internal::make_one, Internal::make_zero;

namespace {

// The cell of an axis that stands at a position, inside the map or outside.
Expr cell_at(const Problem &p, const Axis &axis, Expr position) {
    return place_of_cell(p.op.taps, p.window, position, axis.low);
}

// The low-res map with its border (beyond a zero one weights are 0), and its last channel for the channels that a
// rounded-up block asks for.
Expr extended(const Problem &p, Func value, Expr column, Expr row) {
    return value(cell_at(p, *p.columns, column), cell_at(p, *p.rows, row), clamp(c, 0, p.channels - 1), n);
}

// Exact: pixel column x, shifted so that a cell starts at a multiple of the ratio, holds the value of its cell;
// window column j of pixel x is then spread(x + ratio j). Else: channels first.
Func spread_value(const Problem &p, Func value) {
    Func spread("spread_value");
    if (p.exact()) {
        spread(x, y, c, n) = extended(p, value, x / p.columns->ratio(), y);
    } else if (p.few_channels) {
        spread(x, y, c, n) = value(x, cell_at(p, *p.rows, y), c, n);
    } else {
        spread(c, x, y, n) = extended(p, value, x, y);
    }
    return spread;
}

// A table's entry that is a place, and the place again. Halide clamps what is read from a table as a place to the range
// that the table is known to have, entry by entry; bits have none.
Expr place_entry(Expr place) {
    return reinterpret<uint32_t>(place);
}

Expr place(Expr entry, Expr count) {
    return unsafe_promise_clamped(reinterpret<int>(entry), 0, count - 1);
}

// Few channels: the low-res column of window column jx of pixel column x, which lies in the map.
Func low_columns(const Problem &p) {
    Func low_column("low_column");
    low_column(x, jx) = place_entry(cell_at(p, *p.columns, p.columns->base(x) + p.window.first + jx));
    return low_column;
}

// A window cell of few channels. low_column: as above.
Expr narrow_cell(const Problem &p, Func spread, Func low_column, Expr px, Expr column, Expr low_row, Expr channel) {
    return spread(place(low_column(px, column), p.columns->low), low_row, channel, n);
}

// Window cell (jx, jy) of the pixels in column px of a cell row (exact) or of pixel (px, py).
Expr exact_window_cell(const Problem &p, Func spread, Expr px, Expr cell, Expr channel, Expr column, Expr row) {
    return spread(px - p.columns->shift() + p.columns->ratio() * (p.window.first + column), cell + p.window.first + row,
                  channel, n);
}

// Whether window cell j of a pixel has no weight, since the pixel lies on the cell before it. Nothing is made of such a
// cell: 0 times infinity is a nan.
Expr is_hit(const Problem &p, const Axis &axis, Expr pixel, Expr j) {
    if (!p.window.last_is_between()) {
        return Internal::const_false();
    }
    return j == p.window.size - 1 && axis.fraction(pixel) == Internal::make_zero(p.type);
}

// Window cell (jx, jy) of pixel (px, py).
Expr window_cell(const Problem &p, Func spread, Func low_column, Expr px, Expr py, Expr channel, Expr column,
                 Expr row) {
    const Expr at_x = p.columns->base(px) + p.window.first + column, at_y = p.rows->base(py) + p.window.first + row;
    return p.few_channels ? narrow_cell(p, spread, low_column, px, column, at_y, channel)
                          : spread(channel, at_x, at_y, n);
}

// Whether window cell (jx, jy) of pixel (px, py) has no weight.
Expr is_idle(const Problem &p, Expr px, Expr py, Expr column, Expr row) {
    return is_hit(p, *p.columns, px, column) || is_hit(p, *p.rows, py, row);
}

// An interpolated place on one axis. value: of window cell j.
Expr interpolate(const Problem &p, const Axis &axis, Expr pixel, const std::function<Expr(int)> &value) {
    Expr sum = make_zero(p.type);
    for (int j = 0; j < p.window.size; j++) {
        sum = sum +
              select(is_hit(p, axis, pixel, j), make_zero(p.type), axis_weight(p.window, axis, pixel, j) * value(j));
    }
    return sum;
}

// First pixel of a cell, the first one behind all cells, too.
Expr begin(const Axis &axis, Expr cell) {
    return axis.begin(clamp(cell, -2, axis.low));
}

// A pixel of a cell, the step-th one that has a weight for window cell j, and whether there are so many. (Only the
// first pixel of a cell can lie on it.)
std::pair<Expr, Expr> cell_pixel(const Problem &p, const Axis &axis, Expr cell, Expr step, Expr j) {
    const Expr first = begin(axis, cell), skipped = select(is_hit(p, axis, clamp(first, 0, axis.high - 1), j), 1, 0),
               pixel = first + skipped + step;
    return {clamp(pixel, 0, axis.high - 1), pixel < begin(axis, cell + 1)};
}

// Tiles of a dimension.
Expr count(Expr size, int tile) {
    return (size + tile - 1) / tile;
}

// Whether a part of a tile or cell lies in the map. What leads to those that do not is made as well, so that all tiles
// are alike: written as one number, the condition does not lead bounds inference to trim them.
Expr all(const std::vector<Expr> &conditions) {
    Expr number = 1;
    for (const Expr &condition : conditions) {
        number = number & cast<int>(condition);
    }
    return number == 1;
}

// All pixel rows, cell by cell: row in its cell, cell, sample. The first and the last cell may lie partly outside.
RDom rows_by_cell(const Problem &p) {
    const int first = p.rows->first_cell();
    RDom pixels(0, p.rows->ratio(), first, p.rows->low - first, 0, p.samples, "pixels");
    const Expr y = p.rows->begin(pixels.y) + pixels.x;
    pixels.where(p.tile ? all({y >= 0, y < p.rows->high}) : y >= 0 && y < p.rows->high);
    return pixels;
}

// output(x, y, third, n) = value(row, cell, y, n), row after row of each cell.
void define_by_cell(const Problem &p, Func output, Var third, const RDom &pixels,
                    const std::function<Expr(Expr, Expr, Expr, Expr)> &value) {
    const Expr y_in_cell = p.rows->begin(pixels.y) + pixels.x;
    output(x, y, third, n) = undef(p.stored_type());
    output(x, unsafe_promise_clamped(y_in_cell, 0, p.rows->high - 1), third, pixels.z) =
        p.stored(value(pixels.x, pixels.y, y_in_cell, pixels.z));
}

}  // namespace

Reassembly::Reassembly(const Problem &p, Func value, Func logits)
    : problem(p), weights(window_weights(p.op, *p.columns, *p.rows, logits)), spread(spread_value(p, value)),
      low_column(low_columns(p)), stretched("stretched"), window(0, p.window.size, 0, p.window.size, "window"),
      sum("window_sum"), output("reassembled") {
    if (p.separable()) {
        define_axis_by_axis();
    } else if (p.exact() && p.plain) {
        sum(x, y, c, n) = make_zero(p.type);
        sum(x, y, c, n) += weights.window(x, y, window.x, window.y, n) *
                           exact_window_cell(p, spread, x, p.rows->base(y), c, window.x, window.y);
        output(x, y, c, n) = p.stored(sum(x, y, c, n));
    } else if (p.exact()) {
        sum(x, row, cell, c, n) = make_zero(p.type);
        sum(x, row, cell, c, n) += weights.window(x, p.rows->begin(cell) + row, window.x, window.y, n) *
                                   exact_window_cell(p, spread, x, cell, c, window.x, window.y);
        pixels = rows_by_cell(p);
        define_by_cell(p, output, c, pixels,
                       [&](Expr row, Expr cell, Expr, Expr n) { return sum(x, row, cell, c, n); });
    } else {
        const Expr product = weights.window(x, y, window.x, window.y, n) *
                             window_cell(p, spread, low_column, x, y, c, window.x, window.y);
        const Expr idle = is_idle(p, x, y, window.x, window.y);
        if (p.few_channels) {  // the pixels of a vector differ
            sum(x, y, c, n) = make_zero(p.type);
            sum(x, y, c, n) += select(idle, make_zero(p.type), product);
            output(x, y, c, n) = p.stored(sum(x, y, c, n));
        } else {
            window.where(!idle);
            sum(c, x, y, n) = make_zero(p.type);
            sum(c, x, y, n) += product;
            output(x, y, c, n) = p.stored(sum(c, x, y, n));
        }
    }
}

// First columns, of the low-res rows that a strip of pixel rows reads, each row once; then rows.
void Reassembly::define_axis_by_axis() {
    const Problem &p = problem;
    const Axis &columns = *p.columns, &rows = *p.rows;
    const int strip = Problem::strip_rows, size = p.window.size;
    // Where the map grows, a strip reads all low-res rows from its first one on: two rows of pixels that are so many
    // rows apart have bases at most `steps` apart. Else it reads some: each pixel row has its own. (Sizes are divided
    // as floating point numbers because Halide cannot bound a quotient of integers whose signs it does not know.)
    const Expr grows = rows.low <= rows.high, steps = cast<int>(ceil(cast<float>(strip) * rows.low / rows.high));
    const Expr count = select(grows, steps + size, strip * size);
    const Expr strip_first = rows.base(tile_y * strip) + row, own = rows.base(tile_y * strip + row / size) + row % size;
    const Expr low_row = select(grows, strip_first, own) + p.window.first;
    stretched(x, row, c, tile_y, n) =
        interpolate(p, columns, x, [&](int j) -> Expr { return narrow_cell(p, spread, low_column, x, j, low_row, c); });
    const Expr from_strip = rows.base(y) - rows.base(y / strip * strip), from_own = y % strip * size;
    output(x, y, c, n) = p.stored(interpolate(p, rows, y, [&](int j) -> Expr {
        const Expr at = unsafe_promise_clamped(select(grows, from_strip, from_own) + j, 0, count - 1);
        return stretched(x, at, c, y / strip, n);
    }));
}

ReassemblyValueBackward::ReassemblyValueBackward(const Problem &p, Func logits, Func d_output)
    : problem(p), weights(window_weights(p.op, *p.columns, *p.rows, logits)),
      folded(fold_border(p.op, *p.columns, *p.rows, weights.window)), gradient("gradient"), partial("partial"),
      by_cell("by_cell"), padded("padded"), gathered("gathered"), edged("edged"), giver("giver"),
      giver_weight("giver_weight"), sum("d_value_sum"), output("d_value") {
    if (p.few_channels) {
        define_few_channels(d_output);
        return;
    }
    const Expr column = p.columns->pixel(x), row = p.rows->pixel(y), channel = clamp(c, 0, p.channels - 1);
    if (!p.exact()) {
        gradient(c, x, y, n) = d_output(column, row, channel, n);
    } else {
        gradient(x, y, c, n) = d_output(column, row, channel, n);
    }
    if (p.tile) {
        p.exact() ? define_column_sums() : define_cell_sums();
        define_tiles();
    } else if (p.exact()) {
        define_column_sums();
        define_whole_rows();
    } else {
        define_any_size();
    }
}

// Rows first: each window column of a low-res row, at high-res columns.
void ReassemblyValueBackward::define_column_sums() {
    const Problem &p = problem;
    pixels = RDom(0, p.rows->ratio(), 0, p.window.size, "pixels");
    const Expr pixel_row = p.rows->begin(y - p.window.first - pixels.y) + pixels.x;
    partial(x, y, jx, c, n) = make_zero(p.type);
    partial(x, y, jx, c, n) +=
        folded.window(p.tile ? p.columns->pixel(x) : x, pixel_row, jx, pixels.y, n) * gradient(x, pixel_row, c, n);
}

// The same, a cell's columns summed. Cells outside the map have no pixels, but those at its left and top.
void ReassemblyValueBackward::define_cell_sums() {
    const Problem &p = problem;
    pixels = RDom(0, p.columns->longest_cell(), 0, p.rows->longest_cell(), 0, p.window.size, "pixels");
    const auto [px, in_column] = cell_pixel(p, *p.columns, x, pixels.x, jx);
    const auto [py, in_row] = cell_pixel(p, *p.rows, y - p.window.first - pixels.z, pixels.y, pixels.z);
    pixels.where(in_column && in_row);
    partial(x, y, jx, c, n) = make_zero(p.type);
    partial(x, y, jx, c, n) += folded.window(px, py, jx, pixels.z, n) * gradient(c, px, py, n);
}

// Then columns: window columns brought to their cell, and the pixels of a cell summed.
void ReassemblyValueBackward::define_whole_rows() {
    const Problem &p = problem;
    const int ratio = p.columns->ratio(), shift = p.columns->shift();
    // No pixel is left or right of the image, so nothing comes from there.
    padded(x, y, jx, c, n) = make_zero(p.type);
    pixel_columns = RDom(0, p.columns->high, "pixel_columns");
    padded(pixel_columns, y, jx, c, n) = partial(pixel_columns, y, jx, c, n);
    Expr at_cell = make_zero(p.type);
    for (int j = 0; j < p.window.size; j++) {
        at_cell = at_cell + padded(x + shift - ratio * (p.window.first + j), y, j, c, n);
    }
    gathered(x, y, c, n) = at_cell;
    columns = RDom(0, ratio, "columns");
    sum(x, y, c, n) = make_zero(p.type);
    sum(x, y, c, n) += gathered(ratio * x + columns, y, c, n);
    output(x, y, c, n) = p.stored(sum(x, y, c, n));
}

void ReassemblyValueBackward::define_tiles() {
    const Problem &p = problem;
    const Tile tile = *p.tile;
    const int last = p.window.size - 1;
    const Expr giver = tile_x * tile.cells + x - last - p.window.first, low_row = tile_y * tile.rows + y,
               channel = tile_c * tile.channels + c;
    if (p.exact()) {
        const Expr px = p.columns->begin(giver) + column;
        by_cell(x, column, y, jx, c, tile_x, tile_y, tile_c, n) =
            select(px >= 0 && px < p.columns->high, partial(px, low_row, jx, channel, n), make_zero(p.type));
    } else {
        by_cell(x, column, y, jx, c, tile_x, tile_y, tile_c, n) = partial(giver, low_row, jx, channel, n);
    }
    columns = RDom(0, std::max(1, p.columns->ratio()), 0, p.window.size, "columns");
    sum(x, y, c, tile_x, tile_y, tile_c, n) = make_zero(p.type);
    sum(x, y, c, tile_x, tile_y, tile_c, n) +=
        by_cell(x + last - columns.y, columns.x, y, columns.y, c, tile_x, tile_y, tile_c, n);

    tiles = RDom({{0, tile.cells},
                  {0, tile.rows},
                  {0, tile.channels},
                  {0, count(p.columns->low, tile.cells)},
                  {0, count(p.rows->low, tile.rows)},
                  {0, count(p.channels, tile.channels)},
                  {0, p.samples}},
                 "tiles");
    const Expr cx = tiles[3] * tile.cells + tiles[0], cy = tiles[4] * tile.rows + tiles[1],
               cc = tiles[5] * tile.channels + tiles[2];
    tiles.where(all({cx < p.columns->low, cy < p.rows->low, cc < p.channels}));
    output(x, y, c, n) = undef(p.stored_type());
    output(unsafe_promise_clamped(cx, 0, p.columns->low - 1), unsafe_promise_clamped(cy, 0, p.rows->low - 1),
           unsafe_promise_clamped(cc, 0, p.channels - 1), tiles[6]) =
        p.stored(sum(tiles[0], tiles[1], tiles[2], tiles[3], tiles[4], tiles[5], tiles[6]));
}

void ReassemblyValueBackward::define_any_size() {
    const Problem &p = problem;
    const int size = p.window.size, first = p.window.first;
    pixels = RDom(0, p.columns->longest_cell(), 0, p.rows->longest_cell(), 0, size, 0, size, "pixels");
    const auto [px, in_column] = cell_pixel(p, *p.columns, x - first - pixels[2], pixels[0], pixels[2]);
    const auto [py, in_row] = cell_pixel(p, *p.rows, y - first - pixels[3], pixels[1], pixels[3]);
    pixels.where(in_column && in_row);
    sum(c, x, y, n) = make_zero(p.type);
    sum(c, x, y, n) += folded.window(px, py, pixels[2], pixels[3], n) * gradient(c, px, py, n);
    output(x, y, c, n) = p.stored(sum(c, x, y, n));
}

// Rows first, as many as few_rows low-res ones take: each pixel row gives to those of its window, so that its weights
// are found once. Then columns, a low-res one taking from the pixels of its cells.
void ReassemblyValueBackward::define_few_channels(Func d_output) {
    const Problem &p = problem;
    const int size = p.window.size, first = p.window.first, last = p.window.last();
    const Type type = p.type;

    // A loop over pixel rows that ends early, not one from the first that gives: weights are then needed of one row.
    pixels = RDom(0, size, 0, p.rows->high, "pixels");
    const Expr low = tile_y * Problem::few_rows, py = pixels.y;
    pixels.where(py >= begin(*p.rows, low - last) && py < begin(*p.rows, low + Problem::few_rows - first));
    const Expr cell_row = p.rows->base(py) + first + pixels.x, inside = cell_at(p, *p.rows, cell_row);
    const Expr counts = is_empty_outside(p.op.taps) ? cell_row == inside : Internal::const_true();
    const Expr to = inside - low;
    pixels.where(counts && to >= 0 && to < Problem::few_rows);
    pixels.where(!is_hit(p, *p.rows, py, pixels.x));
    const Expr gradient = d_output(p.columns->pixel(x), py, c, n);
    const Expr row_in_tile = unsafe_promise_clamped(to, 0, Problem::few_rows - 1);
    if (p.separable()) {
        partial(x, y, c, tile_y, n) = make_zero(type);
        partial(x, row_in_tile, c, tile_y, n) += axis_weight(p.window, *p.rows, py, pixels.x) * gradient;
    } else {
        partial(x, y, jx, c, tile_y, n) = make_zero(type);
        partial(x, row_in_tile, jx, c, tile_y, n) += weights.window(x, py, jx, pixels.x, n) * gradient;
    }
    // Weights at the left and the right edge, those of cells beyond it given to it.
    const auto fold_columns = [&](Expr pixel, const std::function<Expr(int)> &weight) {
        return fold(p.op.taps, *p.columns, p.window, p.columns->base(pixel), jx, weight);
    };
    const auto [px, gives] = cell_pixel(p, *p.columns, x - first - jx, column, jx);
    giver(x, column, jx) = place_entry(px);
    giver_weight(x, column, jx) =
        select(gives,
               p.separable() ? fold_columns(px, [&](int j) -> Expr { return axis_weight(p.window, *p.columns, px, j); })
                             : make_one(type),
               make_zero(type));

    columns = RDom(0, p.columns->longest_cell(), 0, size, "columns");
    const Expr at = place(giver(x, columns.x, columns.y), p.columns->high), by = giver_weight(x, columns.x, columns.y),
               row = y % Problem::few_rows, tile = y / Problem::few_rows;
    Expr given;
    if (p.separable()) {
        given = by * partial(at, row, c, tile, n);
    } else {
        const auto of_column = [&](Expr j) -> Expr { return partial(x, y, j, c, tile_y, n); };
        edged(x, y, jx, c, tile_y, n) = is_empty_outside(p.op.taps) ? of_column(jx) : fold_columns(x, of_column);
        given = edged(at, row, columns.y, c, tile, n);
    }
    sum(x, y, c, n) = make_zero(type);
    sum(x, y, c, n) += select(by == 0, make_zero(type), given);
    output(x, y, c, n) = p.stored(sum(x, y, c, n));
}

ReassemblyWeightBackward::ReassemblyWeightBackward(const Problem &p, Func value, Func logits, Func d_output, Func bias)
    : problem(p), weights(window_weights(p.op, *p.columns, *p.rows, logits)), spread(spread_value(p, value)),
      low_column(low_columns(p)), gradient("gradient"), channel(0, p.channels, "channel"), d_cell("d_cell"),
      d_window("d_window"), output("d_weight") {
    const Expr px = p.columns->pixel(x), py = p.rows->pixel(y);
    if (p.exact() && (p.tile || p.plain)) {
        d_window(x, y, jx, jy, n) = make_zero(p.type);
        d_window(x, y, jx, jy, n) +=
            d_output(px, py, channel, n) * exact_window_cell(p, spread, x, p.rows->base(y), channel, jx, jy);
    } else if (p.exact()) {
        const Expr pixel_row = p.rows->pixel(p.rows->begin(cell) + row);
        d_cell(x, row, cell, jx, jy, n) = make_zero(p.type);
        d_cell(x, row, cell, jx, jy, n) +=
            d_output(px, pixel_row, channel, n) * exact_window_cell(p, spread, x, cell, channel, jx, jy);
        const int ratio = p.rows->ratio(), shift = p.rows->shift();
        d_window(x, y, jx, jy, n) = d_cell(x, (y - shift) % ratio, (y - shift) / ratio, jx, jy, n);
    } else if (p.few_channels) {
        d_window(x, y, jx, jy, n) = make_zero(p.type);
        d_window(x, y, jx, jy, n) +=
            d_output(px, py, channel, n) * window_cell(p, spread, low_column, x, y, channel, jx, jy);
    } else {
        gradient(c, x, y, n) = d_output(px, py, clamp(c, 0, p.channels - 1), n);
        d_window(x, y, jx, jy, n) = make_zero(p.type);
        d_window(x, y, jx, jy, n) +=
            gradient(channel, x, y, n) * window_cell(p, spread, low_column, x, y, channel, jx, jy);
    }
    Func d_counted("d_counted");
    d_counted(x, y, jx, jy, n) =
        select(!p.exact() && is_idle(p, x, y, jx, jy), make_zero(p.type), d_window(x, y, jx, jy, n));
    adjoint = window_weights_backward(p.op, *p.columns, *p.rows, weights, d_counted);
    const auto made = [&](Expr y, Expr n) -> Expr {
        const Expr product = adjoint.d_input(x, y, tap, n);
        return bias.defined() ? product + bias(tap, n) : product;
    };
    if (p.exact() && !p.plain) {
        pixels = rows_by_cell(p);
        define_by_cell(p, output, tap, pixels, [&](Expr, Expr, Expr y, Expr n) { return made(y, n); });
    } else {
        output(x, y, tap, n) = p.stored(made(y, n));
    }
}

}  // namespace upwell
