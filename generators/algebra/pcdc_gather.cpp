#include "algebra/pcdc_gather.h"

#include "algebra/numbers.h"

namespace upwell::pcdc {

using namespace Halide;

namespace {

Expr zero(const Func &like) {
    return Internal::make_zero(like.types()[0]);
}

}  // namespace

Func repeat_last(Func weight, Expr count) {
    Func repeated(weight.name() + "_repeated");
    std::vector<Var> args = weight.args();
    std::vector<Expr> at(args.begin(), args.end());
    at[1] = min(at[1], count - 1);
    repeated(args) = weight(at);
    return repeated;
}

JointScores::JointScores(const Hidden &hidden, Func centre, Func weight, Func bias, Expr count, Expr groups)
    : h("h"), sum("score_sum"), output("scores"), channels(0, count, 0, groups, "channels") {
    h(o, x, row, g, phase, n) = relu(hidden.s(o, x, row, g, phase, n)) - centre(o, g, n);
    sum(c, x, row, phase, n) = bias(c, n);
    sum(c, x, row, phase, n) += weight(c, channels.x, channels.y, n) * h(channels.x, x, row, channels.y, phase, n);
    output(x, row, phase, c, n) = sum(c, x, row, phase, n);
}

GatheredBackward::GatheredBackward(const Difference &difference, Func d_v, Func back_weight, Expr outputs,
                                 const Hidden *hidden, const HiddenBackward *adjoint, const RecordLayout &layout)
    : d_query("d_query"), across("frame_across"), frame("frame"), record("record") {
    const Grid &grid = difference.grid;
    record(t, g, tile_x, tile_y, phase, n) = undef(d_v.types()[0]);  // its updates cover it
    for (const WeightColumns &w : weight_columns(difference, d_v, outputs, hidden, adjoint)) {
        const TileSum tile(grid, w);
        const RDom r(0, output_block, 0, w.across, 0, w.taps, 0, layout.width / output_block,
                     "columns" + std::to_string(weights.size()));
        const Expr output = r.x + output_block * r.w;
        record(output + layout.width * (w.first + r.y + w.stride * r.z), g, tile_x, tile_y, phase, n) =
            tile.sum(output, r.y, r.z, g, tile_x, tile_y, phase, n);
        weights.push_back({tile, r, Internal::is_const_one(w.across)});
    }
    define_query(difference, d_v, back_weight, outputs);
    query_places = keep(
        "query_places", layout.query(), grid.tile.columns, grid.tile.rows, grid.channels, [&](Expr at_x, Expr at_row, Expr i) {
            return d_query(i, tile_x * grid.tile.columns + at_x, tile_y * grid.tile.rows + at_row, g, phase, n);
        });
    if (difference.taps) {
        define_frame(grid, *difference.taps, d_v, back_weight, outputs);
        frame_places =
            keep("frame_places", layout.frame(), layout.frame_columns, layout.frame_rows, grid.channels,
                 [&](Expr at_x, Expr at_row, Expr i) { return frame(i, at_x, at_row, g, tile_x, tile_y, phase, n); });
    } else {
        define_frame(grid, *difference.upsampled, d_v);
        const RDom r(0, output_block, 0, layout.frame_columns, 0, layout.frame_rows, 0, layout.width / output_block,
                     "frame_places");
        const Expr output = r.x + output_block * r.w;
        record(layout.frame() + output + layout.width * (r.y + layout.frame_columns * r.z), g, tile_x, tile_y, phase, n) =
            frame(output, r.y, r.z, g, tile_x, tile_y, phase, n);
        frame_places = r;
    }
}

// A part of the record, columns x rows x channels, from `start` on. Values of channels beyond the last are the last's.
RDom GatheredBackward::keep(const std::string &name, Expr start, Expr columns, Expr rows, Expr channels,
                           const std::function<Expr(Expr, Expr, Expr)> &value) {
    const RDom r(0, channel_block, 0, rows, 0, columns, 0, (channels + channel_block - 1) / channel_block, name);
    const Expr channel = r.x + channel_block * r.w, own = min(channel, channels - 1);
    record(start + r.z + columns * (r.y + rows * own), g, tile_x, tile_y, phase, n) = value(r.z, r.y, channel);
    return r;
}

void GatheredBackward::define_query(const Difference &difference, Func d_v, Func back_weight, Expr outputs) {
    query_outputs = RDom(0, outputs, "query_back");
    const Expr back = query_outputs;
    d_query(i, x, row, g, phase, n) = zero(d_v);
    d_query(i, x, row, g, phase, n) +=
        back_weight(difference.key_columns() + min(i, difference.grid.channels - 1), back, g, n) *
        d_v(back, x, row, g, phase, n);
}

// A place has the pixels of the tile whose taps reach it.
void GatheredBackward::define_frame(const Grid &grid, const Taps &taps, Func d_v, Func back_weight, Expr outputs) {
    reached = RDom(0, outputs, 0, taps.count, "reached");
    const RDom &r = reached;
    const Expr in_x = column - taps.reach_x - taps.column(r.y), in_row = line - taps.reach_y - taps.row(r.y);
    const Expr inside = in_x >= 0 && in_x < grid.tile.columns && in_row >= 0 && in_row < grid.tile.rows;
    const Expr px = tile_x * grid.tile.columns + clamp(in_x, 0, grid.tile.columns - 1),
               prow = tile_y * grid.tile.rows + clamp(in_row, 0, grid.tile.rows - 1);
    const Expr weight = back_weight(min(i, grid.channels - 1) + grid.channels * r.y, r.x, g, n);
    frame(i, column, line, g, tile_x, tile_y, phase, n) = zero(d_v);
    frame(i, column, line, g, tile_x, tile_y, phase, n) +=
        weight * select(inside, d_v(r.x, px, prow, g, phase, n), zero(d_v));
}

// A cell has the pixels of the tile between it and a neighbour: the two axes one after the other.
void GatheredBackward::define_frame(const Grid &grid, const Upsampled &up, Func d_v) {
    const auto share = [&](Expr place, Expr first, Expr cell, Expr way) {
        const Expr away = place - (cell - first);
        return select(away == 0, 1 - way, select(away == 1, way, zero(d_v)));
    };
    pixels_across = RDom(0, grid.tile.columns, "pixels_across");
    const Expr px = tile_x * grid.tile.columns + pixels_across;
    const Expr x_share = share(column, up.column(tile_x * grid.tile.columns, grid), up.column(px, grid),
                               up.column_fraction(clamp(px, 0, grid.columns - 1)));
    across(o, column, row, g, tile_x, phase, n) = zero(d_v);
    across(o, column, row, g, tile_x, phase, n) +=
        select(x_share == 0, zero(d_v), x_share * d_v(o, px, row, g, phase, n));
    rows = RDom(0, grid.tile.rows, "frame_row");
    const Expr prow = tile_y * grid.tile.rows + rows;
    const Expr row_share = share(line, up.row(tile_y * grid.tile.rows, grid), up.row(prow, grid),
                                 up.row_fraction(clamp(prow, 0, grid.rows - 1)));
    frame(o, column, line, g, tile_x, tile_y, phase, n) = zero(d_v);
    frame(o, column, line, g, tile_x, tile_y, phase, n) +=
        select(row_share == 0, zero(d_v), row_share * across(o, column, prow, g, tile_x, phase, n));
}

GatheredMap::GatheredMap(Func frames, Func row_of, Func phase_of, Expr side, Expr reach_x, Expr reach_y,
                         const Grid &grid)
    : padded("padded") {
    const Expr none = zero(frames);
    // Of an axis: tiles that a place at `position` of their frames can lie in, from the first on.
    const auto first = [](Expr position, Expr frame, int tile) { return max((position - frame) / tile + 1, 0); };
    const auto most = [](Expr frame, int tile) { return (frame + tile - 1) / tile; };
    const Expr tiles_x = (grid.columns + grid.tile.columns - 1) / grid.tile.columns,
               tiles_y = (grid.rows + grid.tile.rows - 1) / grid.tile.rows;
    const Expr frame_columns = grid.tile.columns + 2 * reach_x, frame_rows = grid.tile.rows + 2 * reach_y;
    tiles = RDom(0, most(frame_columns, grid.tile.columns), 0, most(frame_rows, grid.tile.rows), "tiles");
    const Expr at_x = x + reach_x, at_row = row + reach_y;
    const Expr tx = first(at_x, frame_columns, grid.tile.columns) + tiles.x,
               ty = first(at_row, frame_rows, grid.tile.rows) + tiles.y;
    const Expr in_x = at_x - tx * grid.tile.columns, in_row = at_row - ty * grid.tile.rows;
    const Expr inside = tx < tiles_x && in_x >= 0 && ty < tiles_y && in_row >= 0;
    padded(x, row, i, g, phase, n) = none;
    padded(x, row, i, g, phase, n) +=
        select(inside,
               frames(clamp(in_x, 0, frame_columns - 1), clamp(in_row, 0, frame_rows - 1), i, g,
                      clamp(tx, 0, tiles_x - 1), clamp(ty, 0, tiles_y - 1), phase, n),
               none);
    fold = BorderFold(padded, row_of, phase_of, side, reach_x, reach_y, grid);
}

GatheredCells::GatheredCells(Func frame, Func first_column, Func first_row, Expr frame_columns, Expr frame_rows,
                             Expr tiles_x, Expr tiles_y)
    : sum("cell_sum"), output("d_coarse"), tiles(0, tiles_x, 0, tiles_y, "tiles") {
    const Expr in_x = x - first_column(tiles.x), in_y = y - first_row(tiles.y);
    tiles.where(in_y >= 0 && in_y < frame_rows);
    tiles.where(in_x >= 0 && in_x < frame_columns);
    sum(o, x, y, g, n) = zero(frame);
    sum(o, x, y, g, n) +=
        frame(o, clamp(in_x, 0, frame_columns - 1), clamp(in_y, 0, frame_rows - 1), g, tiles.x, tiles.y, 0, n);
    output(o, x, y, g, n) = sum(o, x, y, g, n);
}

}  // namespace upwell::pcdc
