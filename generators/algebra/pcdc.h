// Paired central difference convolution (ReSFU, arXiv 2407.02283, Eq. 11-12), the scores made of it, and their
// adjoints.
//
//   v(o) = bias(o) + key part(o) + sum_i query_weight(o, i) query(i)
//   u = max(v, 0),  s = weight u + bias,  h = max(s, 0),  score = score_weight (h - centre) + score_bias
//
// With a floor below 0, u is v.
//
// The key part is a convolution of the key, or, where the key is an upsampled map, the upsampling of a convolution
// found at low resolution. Group normalisations are affine once their statistics are known: they are in the weights,
// which therefore differ from sample to sample.
//
// The image is cut into tiles. What a tile needs of many channels is found in it, used and forgotten. Channels o are
// innermost; where an input has them padded, the padding has zero weights.
#pragma once

#include "Halide.h"

#include <functional>
#include <optional>
#include <vector>

#include "grid/pcdc_record.h"

namespace upwell::pcdc {

// Channel of a group: o of the hidden ones, i of key and query. g: group. c: score.
inline const Halide::Var o("o"), i("i"), g("g"), c("c"), n("n");
// A pixel is (x, phase + row_step * row). A tap's row offset is a multiple of row_step, so a tile of rows of one phase
// needs few rows around it, however far apart taps are.
inline const Halide::Var x("x"), y("y"), row("row"), phase("phase");
inline const Halide::Var tile_x("tile_x"), tile_y("tile_y");
// A place in the frame of a tile, which reaches beyond it; a column of the weights' gradients.
inline const Halide::Var column("column"), line("line"), t("t"), tap("tap");

struct Grid {
    Tile tile;
    Halide::Expr columns, rows, row_step;  // of the image; rows: of one phase
    Halide::Expr channels, all_channels;   // of key and query: of a group, of all

    Halide::Expr inside(Halide::Expr px, Halide::Expr prow) const { return px < columns && prow < rows; }
};

// A step of the blur along an axis; around: the sum of both neighbours. Without a blur, side 0, they are not read: 0
// times a nan is one.
Halide::Expr blurred(Halide::Expr side, Halide::Expr here, Halide::Expr around);

// A map as tiles read it: blurred (weights side, 1 - 2 side, side on each axis), border repeated, centre subtracted.
struct Staged {
    Halide::Func vertical, padded;  // x, row, i, g, phase, n
};
Staged stage(const std::string &name, Halide::Func map, Halide::Func centre, Halide::Expr side, const Grid &grid);

// The key part as a convolution: taps anywhere, whole pixels and whole row_steps apart.
struct Taps {
    Staged key;
    Halide::Func weight;            // o, i, tap, g, n
    Halide::Func columns, rows;     // tap -> offset, in pixels and in row_steps
    Halide::Expr count;             // taps
    Halide::Expr reach_x, reach_y;  // largest offsets

    Halide::Expr column(Halide::Expr tap) const { return Halide::clamp(columns(tap), -reach_x, reach_x); }
    Halide::Expr row(Halide::Expr tap) const { return Halide::clamp(rows(tap), -reach_y, reach_y); }
};

// The key part as the upsampling of coarse(o, cell x, cell y, g, n), cells from -1 on, stored from 0.
struct Upsampled {
    Halide::Func coarse;
    Halide::Func columns, column_fraction, rows, row_fraction;  // pixel -> lower cell, and way to the next
    Halide::Expr width, height;                                 // of coarse
    Halide::Expr frame_columns, frame_rows;                     // most cells that a tile reads

    Halide::Expr column(Halide::Expr px, const Grid &grid) const;
    Halide::Expr row(Halide::Expr py, const Grid &grid) const;
    // The way from the lower cell, as the weight of the cell `next` (0 or 1) cells on.
    Halide::Expr weight(Halide::Expr px, Halide::Expr py, Halide::Expr next_x, Halide::Expr next_y,
                        const Grid &grid) const;
};

struct Difference {
    Grid grid;
    std::optional<Taps> taps;            // either this
    std::optional<Upsampled> upsampled;  // or that
    Staged query;
    Halide::Func query_weight;  // o, i, g, n
    Halide::Func v;             // o, x, row, g, phase, n
    Halide::RDom tap, channel;  // of its updates; tap: where it has taps

    void define(Halide::Func bias);    // o, g, n
    Halide::Expr key_columns() const;  // i + channels * tap
};

struct Hidden {
    Halide::Func u, s;  // o, x, row, g, phase, n
    Halide::RDom sum;   // undefined where s was kept

    Hidden(const Difference &difference, Halide::Expr floor, Halide::Func weight, Halide::Func bias,
           Halide::Expr channels);

    // max(s, 0) as an earlier pass kept it: o, x, row, phase, g, n. It stands for s, which nobody asks for anything but
    // max(s, 0) and whether it is positive.
    Hidden(Halide::Func kept, const Grid &grid);
    Hidden(Halide::Func kept, const Difference &difference, Halide::Expr floor);

    bool is_kept() const { return !sum.defined(); }
    Halide::Expr rectified() const;  // max(s, 0)
    Halide::Func image() const;      // the same, to be kept
};

// Mean of h over a tile, and its sum of squared differences from it.
struct Statistics {
    Halide::Func h, mean, scatter, output;  // output: o, 2, g, tile_x, tile_y, phase, n
    Halide::RDom pixels;

    Statistics(const Grid &grid, const Hidden &hidden);
};

struct Scores {
    Halide::Func h, part, sum, output;  // part: of a group; output: x, row, phase, c, n
    Halide::RDom channels, groups;

    Scores(const Hidden &hidden, Halide::Func centre, Halide::Func weight, Halide::Func bias, Halide::Expr count,
           Halide::Expr groups);
};

// Sum over a tile of d_score(c) (h(o) - centre(o)).
struct Moments {
    Halide::Func h, d_scores, sum, output;  // output: o, c, g, tile_x, tile_y, phase, n
    Halide::RDom pixels;

    // scores: where blocks of them may reach beyond the last one; else undefined.
    Moments(const Grid &grid, const Hidden &hidden, Halide::Func centre, Halide::Func d_scores, Halide::Expr scores);
};

// A gradient of v (x, row, phase, o, g, n) as tiles read it, zero outside the image and beyond the last channel: o, x,
// row, g, phase, n.
Halide::Func stage_gradient(Halide::Func d_output, Halide::Expr channels, const Grid &grid);

// From d_scores (x, row, phase, c, n) to d_v: with d_h = weight d_scores + offset + slope (h - centre).
struct HiddenBackward {
    Halide::Func staged, d_h, d_s, d_u, d_v;
    Halide::RDom score, sum;

    HiddenBackward(const Grid &grid, const Hidden &hidden, Halide::Func centre, Halide::Func d_scores,
                   Halide::Func weight, Halide::Func offset, Halide::Func slope, Halide::Expr scores,
                   Halide::Expr floor, Halide::Func compress, Halide::Expr channels);
};

using RecordLayout = Record<Halide::Expr>;

// Columns first + i + stride * tap of the weights' gradients (i < across, tap < taps): sums of gradient(o) factor(i,
// tap) over pixels.
struct WeightColumns {
    Halide::Func gradient;  // o, x, row, g, phase, n
    Halide::Expr across, taps, first, stride;
    std::function<Halide::Expr(Halide::Expr x, Halide::Expr row)> factor;  // of i and tap
};
// All of them: i + channels * tap for the key, then i for the query, then the bias, then (with hidden channels) o of
// the compressor's input, then its bias.
std::vector<WeightColumns> weight_columns(const Difference &difference, Halide::Func d_v, Halide::Expr outputs,
                                          const Hidden *hidden, const HiddenBackward *adjoint);

// Sums over the pixels of a tile.
struct TileSum {
    Halide::Func sum;  // o, i, tap, g, tile_x, tile_y, phase, n
    Halide::RDom pixels;

    TileSum(const Grid &grid, const WeightColumns &columns);
};

// Sums over the pixels of one row of a tile.
struct RowSum {
    Halide::Func sum;  // o, i, tap, line, g, tile_x, tile_y, phase, n
    Halide::RDom pixels;

    RowSum(const Grid &grid, const WeightColumns &columns);
};

// What d_v gives: gradients of the weights, summed over a tile; of the key, in the frame of a tile; of the query.
struct DifferenceBackward {
    Halide::Func spread_sum, spread;  // t, x, row, g, phase, n: d_v weighted to taps (none where upsampled) and query
    Halide::Func weights;             // o, t, g, tile_x, tile_y, phase, n
    Halide::Func frame;               // i (taps) or o (upsampled), column, line, g, tile_x, tile_y, phase, n
    Halide::Func record, output;      // t, g, tile_x, tile_y, phase, n
    Halide::RDom back, corners;
    struct Sum {
        Halide::Func sum;  // o, i, tap, line, g, tile_x, tile_y, phase, n
        Halide::RDom columns, pixels;
    };
    std::vector<Sum> sums;             // of weights' updates
    std::vector<Halide::RDom> copies;  // of record's

    DifferenceBackward(const Difference &difference, Halide::Func d_v, Halide::Func back_weight, Halide::Expr outputs,
                       const Hidden *hidden, const HiddenBackward *adjoint, const RecordLayout &layout);
};

}  // namespace upwell::pcdc
