#include "algebra/pcdc.h"

#include "algebra/numbers.h"

#include <functional>

namespace upwell::pcdc {

using namespace Halide;

namespace {

Expr zero(const Func &like) {
    return Internal::make_zero(like.types()[0]);
}

Func rectified_difference(const Difference &difference, Expr floor) {
    Func u("u");
    u(o, x, row, g, phase, n) = relu_where(floor == 0, difference.v(o, x, row, g, phase, n));
    return u;
}

}  // namespace

Expr blurred(Expr side, Expr here, Expr around) {
    return select(side == 0, here, (1 - 2 * side) * here + side * around);
}

Staged stage(const std::string &name, Func map, Func centre, Expr side, const Grid &grid) {
    Staged s{Func(name + "_vertical"), Func(name + "_padded")};
    // Blocks of i may reach beyond the last channel; what they read there is not used.
    const Expr channel = min(i + grid.channels * g, grid.all_channels - 1);
    const Expr height = grid.rows * grid.row_step;
    // Centred before the blur, which would round numbers of the size of the centre; strict, so that no algebra takes
    // the sum first.
    const auto at = [&](Expr y) {
        const Expr value = map(clamp(likely(x), 0, grid.columns - 1), clamp(y, 0, height - 1), channel, n);
        return strict_float(value - centre(channel, n));
    };
    const Expr y = clamp(phase + grid.row_step * row, 0, height - 1);
    if (!side.defined()) {
        s.padded(x, row, i, g, phase, n) = at(y);
        return s;
    }
    s.vertical(x, row, i, g, phase, n) = blurred(side, at(y), at(y - 1) + at(y + 1));
    const Expr px = clamp(likely(x), 0, grid.columns - 1);
    const auto along = [&](Expr px) { return s.vertical(clamp(px, 0, grid.columns - 1), row, i, g, phase, n); };
    s.padded(x, row, i, g, phase, n) = blurred(side, along(px), along(px - 1) + along(px + 1));
    return s;
}

Expr Upsampled::column(Expr px, const Grid &grid) const {
    return clamp(columns(clamp(px, 0, grid.columns - 1)), 0, width - 2);
}

Expr Upsampled::row(Expr py, const Grid &grid) const {
    return clamp(rows(clamp(py, 0, grid.rows - 1)), 0, height - 2);
}

Expr Upsampled::weight(Expr px, Expr py, Expr next_x, Expr next_y, const Grid &grid) const {
    const Expr fx = column_fraction(clamp(px, 0, grid.columns - 1)), fy = row_fraction(clamp(py, 0, grid.rows - 1));
    return select(next_x == 1, fx, 1 - fx) * select(next_y == 1, fy, 1 - fy);
}

void Difference::define(Func bias) {
    v = Func("v");
    Expr start = bias(o, g, n);
    if (upsampled) {
        for (int next = 0; next < 4; next++) {
            const int next_x = next % 2, next_y = next / 2;
            start +=
                upsampled->weight(x, row, next_x, next_y, grid) *
                upsampled->coarse(o, upsampled->column(x, grid) + next_x, upsampled->row(row, grid) + next_y, g, n);
        }
    }
    v(o, x, row, g, phase, n) = start;
    if (taps) {
        tap = RDom(0, grid.channels, 0, taps->count, "tap");
        v(o, x, row, g, phase, n) +=
            taps->weight(o, tap.x, tap.y, g, n) *
            taps->key.padded(x + taps->column(tap.y), row + taps->row(tap.y), tap.x, g, phase, n);
    }
    channel = RDom(0, grid.channels, "channel");
    v(o, x, row, g, phase, n) += query_weight(o, channel, g, n) * query.padded(x, row, channel, g, phase, n);
}

Expr Difference::key_columns() const {
    return taps ? grid.channels * taps->count : Expr(0);
}

Hidden::Hidden(const Difference &difference, Expr floor, Func weight, Func bias, Expr channels)
    : u(rectified_difference(difference, floor)), s("s"), sum(0, channels, "sum") {
    s(o, x, row, g, phase, n) = bias(o, g);
    s(o, x, row, g, phase, n) += weight(o, sum, g) * u(sum, x, row, g, phase, n);
}

Hidden::Hidden(Func kept, const Grid &grid) : s("s") {
    s(o, x, row, g, phase, n) = kept(o, min(x, grid.columns - 1), min(row, grid.rows - 1), phase, g, n);
}

Hidden::Hidden(Func kept, const Difference &difference, Expr floor) : Hidden(kept, difference.grid) {
    u = rectified_difference(difference, floor);
}

Expr Hidden::rectified() const {
    const Expr all = s(o, x, row, g, phase, n);
    return is_kept() ? all : relu(all);
}

Func Hidden::image() const {
    Func image("hidden");
    image(o, x, row, phase, g, n) = rectified();
    return image;
}

Statistics::Statistics(const Grid &grid, const Hidden &hidden)
    : h("h"), mean("mean"), scatter("scatter"), output("output"),
      pixels(0, grid.tile.columns, 0, grid.tile.rows, "pixels") {
    h(o, x, row, g, phase, n) = hidden.rectified();
    const Expr px = tile_x * grid.tile.columns + pixels.x, prow = tile_y * grid.tile.rows + pixels.y;
    const Expr count = min(grid.columns - tile_x * grid.tile.columns, grid.tile.columns) *
                       min(grid.rows - tile_y * grid.tile.rows, grid.tile.rows);
    const Expr each = 1 / cast(hidden.s.types()[0], count);
    const Expr value = h(o, px, prow, g, phase, n), none = zero(h);
    mean(o, g, tile_x, tile_y, phase, n) = none;
    mean(o, g, tile_x, tile_y, phase, n) += select(grid.inside(px, prow), value, none) * each;
    const Expr difference = value - mean(o, g, tile_x, tile_y, phase, n);
    scatter(o, g, tile_x, tile_y, phase, n) = none;
    scatter(o, g, tile_x, tile_y, phase, n) += select(grid.inside(px, prow), difference * difference, none);
    output(o, t, g, tile_x, tile_y, phase, n) =
        select(t == 0, mean(o, g, tile_x, tile_y, phase, n), scatter(o, g, tile_x, tile_y, phase, n));
}

Scores::Scores(const Hidden &hidden, Func centre, Func weight, Func bias, Expr count, Expr groups)
    : h("h"), part("score_part"), sum("score_sum"), output("scores"), channels(0, count, "channels"),
      groups(0, groups, "groups") {
    h(o, x, row, g, phase, n) = hidden.rectified() - centre(o, g, n);
    part(c, x, row, g, phase, n) = zero(centre);
    part(c, x, row, g, phase, n) += weight(c, channels, g, n) * h(channels, x, row, g, phase, n);
    sum(c, x, row, phase, n) = bias(c, n);
    sum(c, x, row, phase, n) += part(c, x, row, this->groups, phase, n);
    output(x, row, phase, c, n) = sum(c, x, row, phase, n);
}

Moments::Moments(const Grid &grid, const Hidden &hidden, Func centre, Func given, Expr scores)
    : h("h"), d_scores("d_scores_staged"), sum("moment_sum"), output("moments"),
      pixels(0, grid.tile.columns, 0, grid.tile.rows, "pixels") {
    h(o, x, row, g, phase, n) = hidden.rectified() - centre(o, g, n);
    const Expr score = scores.defined() ? min(c, scores - 1) : Expr(c);
    const Expr value = given(min(x, grid.columns - 1), min(row, grid.rows - 1), phase, score, n);
    d_scores(c, x, row, phase, n) = select(grid.inside(x, row), value, zero(given));
    const Expr px = tile_x * grid.tile.columns + pixels.x, prow = tile_y * grid.tile.rows + pixels.y;
    sum(o, c, g, tile_x, tile_y, phase, n) = zero(given);
    sum(o, c, g, tile_x, tile_y, phase, n) += h(o, px, prow, g, phase, n) * d_scores(c, px, prow, phase, n);
    output(o, c, g, tile_x, tile_y, phase, n) = sum(o, c, g, tile_x, tile_y, phase, n);
}

Func stage_gradient(Func d_output, Expr channels, const Grid &grid) {
    Func staged("d_v");
    staged(o, x, row, g, phase, n) = select(
        grid.inside(x, row) && o < channels,
        d_output(min(x, grid.columns - 1), min(row, grid.rows - 1), phase, min(o, channels - 1), g, n), zero(d_output));
    return staged;
}

HiddenBackward::HiddenBackward(const Grid &grid, const Hidden &hidden, Func centre, Func d_scores, Func weight,
                               Func offset, Func slope, Expr scores, Expr floor, Func compress, Expr channels)
    : staged("d_scores_staged"), d_h("d_h"), d_s("d_s"), d_u("d_u"), d_v("d_v"), score(0, scores, "score"),
      sum(0, channels, "back_sum") {
    const Expr none = zero(d_scores);
    staged(c, x, row, phase, n) = d_scores(min(x, grid.columns - 1), min(row, grid.rows - 1), phase, c, n);
    d_h(o, x, row, g, phase, n) = offset(o, g, n);
    d_h(o, x, row, g, phase, n) += weight(o, score, g, n) * staged(score, x, row, phase, n);
    const Expr s = hidden.s(o, x, row, g, phase, n);
    d_s(o, x, row, g, phase, n) = select(passes_relu(s) && grid.inside(x, row),
                                         d_h(o, x, row, g, phase, n) + slope(o, g, n) * (s - centre(o, g, n)), none);
    d_u(o, x, row, g, phase, n) = none;
    d_u(o, x, row, g, phase, n) += compress(o, sum, g) * d_s(sum, x, row, g, phase, n);
    d_v(o, x, row, g, phase, n) =
        select(floor != 0 || passes_relu(hidden.u(o, x, row, g, phase, n)), d_u(o, x, row, g, phase, n), none);
}

TileSum::TileSum(const Grid &grid, const WeightColumns &w)
    : sum("d_weights_sum"), pixels(0, grid.tile.columns, 0, grid.tile.rows, "pixels") {
    const Expr px = tile_x * grid.tile.columns + pixels.x, prow = tile_y * grid.tile.rows + pixels.y;
    sum(o, i, tap, g, tile_x, tile_y, phase, n) = zero(w.gradient);
    sum(o, i, tap, g, tile_x, tile_y, phase, n) += w.gradient(o, px, prow, g, phase, n) * w.factor(px, prow);
}

RowSum::RowSum(const Grid &grid, const WeightColumns &w)
    : sum("d_weights_sum"), pixels(0, grid.tile.columns, "pixels") {
    const Expr px = tile_x * grid.tile.columns + pixels, prow = tile_y * grid.tile.rows + line;
    sum(o, i, tap, line, g, tile_x, tile_y, phase, n) = zero(w.gradient);
    sum(o, i, tap, line, g, tile_x, tile_y, phase, n) += w.gradient(o, px, prow, g, phase, n) * w.factor(px, prow);
}

std::vector<WeightColumns> weight_columns(const Difference &difference, Func d_v, Expr outputs, const Hidden *hidden,
                                          const HiddenBackward *adjoint) {
    const Expr channels = difference.grid.channels;
    std::vector<WeightColumns> all;
    if (difference.taps) {
        const Taps &taps = *difference.taps;
        all.push_back({d_v, channels, taps.count, 0, channels, [=](Expr px, Expr prow) {
                           return taps.key.padded(px + taps.column(tap), prow + taps.row(tap), i, g, phase, n);
                       }});
    }
    const RecordColumns<Expr> first{channels, difference.taps ? difference.taps->count : Expr(0)};
    const Func query = difference.query.padded;
    all.push_back(
        {d_v, channels, 1, first.query(), 0, [=](Expr px, Expr prow) { return query(px, prow, i, g, phase, n); }});
    const auto one = [=](Expr, Expr) { return Internal::make_one(d_v.types()[0]); };
    all.push_back({d_v, 1, 1, first.bias(), 0, one});
    if (hidden) {
        const Func u = hidden->u;
        all.push_back({adjoint->d_s, outputs, 1, first.compressor(), 0,
                       [=](Expr px, Expr prow) { return u(i, px, prow, g, phase, n); }});
        all.push_back({adjoint->d_s, 1, 1, first.compressor() + outputs, 0, one});
    }
    return all;
}

DifferenceBackward::DifferenceBackward(const Difference &difference, Func d_v, Func back_weight, Expr outputs,
                                       const Hidden *hidden, const HiddenBackward *adjoint, const RecordLayout &layout)
    : spread_sum("spread_sum"), spread("spread"), weights("d_weights"), frame("frame"), record("record"),
      output("gradients"), back(0, outputs, "back") {
    const Grid &grid = difference.grid;
    const Expr none = zero(d_v), channels = grid.channels;
    spread_sum(t, x, row, g, phase, n) = none;
    spread_sum(t, x, row, g, phase, n) += back_weight(t, back, g, n) * d_v(back, x, row, g, phase, n);
    spread(t, x, row, g, phase, n) = spread_sum(t, x, row, g, phase, n);

    weights(o, t, g, tile_x, tile_y, phase, n) = none;
    for (const WeightColumns &w : weight_columns(difference, d_v, outputs, hidden, adjoint)) {
        const RowSum row_sum(grid, w);
        const RDom r(0, w.across, 0, w.taps, 0, grid.tile.rows, "columns");
        weights(o, w.first + r.x + w.stride * r.y, g, tile_x, tile_y, phase, n) +=
            row_sum.sum(o, r.x, r.y, r.z, g, tile_x, tile_y, phase, n);
        sums.push_back({row_sum.sum, r, row_sum.pixels});
    }
    const Expr tile_start = tile_x * grid.tile.columns, tile_top = tile_y * grid.tile.rows;
    const Expr first_query = difference.key_columns();
    if (difference.taps) {
        const Taps &taps = *difference.taps;
        frame(i, column, line, g, tile_x, tile_y, phase, n) = none;
        corners = RDom(0, grid.tile.columns, 0, grid.tile.rows, 0, taps.count, "corners");
        const RDom &r = corners;
        frame(i, r.x + taps.column(r.z) + taps.reach_x, r.y + taps.row(r.z) + taps.reach_y, g, tile_x, tile_y, phase,
              n) += spread(i + channels * r.z, tile_start + r.x, tile_top + r.y, g, phase, n);
    } else {
        const Upsampled &up = *difference.upsampled;
        frame(o, column, line, g, tile_x, tile_y, phase, n) = none;
        corners = RDom(0, 2, 0, 2, 0, grid.tile.columns, 0, grid.tile.rows, "corners");
        const RDom &r = corners;
        const Expr px = tile_start + r.z, prow = tile_top + r.w;
        const Expr cell_x = up.column(px, grid) - up.column(tile_start, grid) + r.x;
        const Expr cell_y = up.row(prow, grid) - up.row(tile_top, grid) + r.y;
        frame(o, clamp(cell_x, 0, up.frame_columns - 1), clamp(cell_y, 0, up.frame_rows - 1), g, tile_x, tile_y, phase,
              n) += up.weight(px, prow, r.x, r.y, grid) * d_v(o, px, prow, g, phase, n);
    }
    // One record of all of it, so that a tile is one task.
    record(t, g, tile_x, tile_y, phase, n) = none;
    const auto keep = [&](Expr start, const std::vector<Expr> &extents,
                          const std::function<Expr(const RDom &)> &value) {
        const RDom r(0, extents[0], 0, extents[1], 0, extents[2], "copy");
        record(start + r.x + extents[0] * (r.y + extents[1] * r.z), g, tile_x, tile_y, phase, n) = value(r);
        copies.push_back(r);
    };
    keep(0, {layout.width, layout.columns, 1},
         [&](const RDom &r) { return weights(r.x, r.y, g, tile_x, tile_y, phase, n); });
    keep(layout.query(), {grid.tile.columns, grid.tile.rows, channels},
         [&](const RDom &r) { return spread(first_query + r.z, tile_start + r.x, tile_top + r.y, g, phase, n); });
    if (difference.taps) {
        keep(layout.frame(), {layout.frame_columns, layout.frame_rows, channels},
             [&](const RDom &r) { return frame(r.z, r.x, r.y, g, tile_x, tile_y, phase, n); });
    } else {
        keep(layout.frame(), {layout.width, layout.frame_columns, layout.frame_rows},
             [&](const RDom &r) { return frame(r.x, r.y, r.z, g, tile_x, tile_y, phase, n); });
    }
    output(t, g, tile_x, tile_y, phase, n) = record(t, g, tile_x, tile_y, phase, n);
}

}  // namespace upwell::pcdc
