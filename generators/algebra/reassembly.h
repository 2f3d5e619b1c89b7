// The window kernel and its two transposes: one algorithm for every operator of the family.
//     output(p, c)   = sum_j W_j(p) x(base(p) + j, c)
//     d_value(l, c)  = sum over pixels p with base(p) + j = l of W_j(p) d_output(p, c)
//     d_weight_j(p)  = sum_c d_output(p, c) x(base(p) + j, c)
// All three gather. A class holds the stages by name, so that a schedule can place them.
#pragma once

#include "algebra/storage.h"
#include "algebra/weights.h"

#include <optional>

namespace upwell {

// A piece of d_value, and what its parts are numbered in. Any sizes give the same answer.
struct Tile {
    int cells, rows, channels;  // cells and rows are low-res
};

// What every direction starts from.
struct Problem {
    Operator op;
    AxisWindow window;
    std::shared_ptr<const Axis> columns, rows;
    Halide::Type type;
    Halide::Expr channels, samples;
    // d_value is made in tiles, and no part of d_weight is numbered by cell rows.
    std::optional<Tile> tile = std::nullopt;
    // How numbers of `type` lie in the output, where not as they are. Inputs come loaded.
    std::optional<Storage> storage = std::nullopt;
    // Where cells differ: maps of few channels, whose pixels lie side by side.
    bool few_channels = false;
    // For autoschedulers: the output and d_weight are pure functions of the pixel, not updated cell row by cell row.
    bool plain = false;

    Halide::Type stored_type() const { return storage ? storage->stored() : type; }
    Halide::Expr stored(Halide::Expr number) const { return storage ? storage->store(number) : number; }

    // Few channels: the output is made so many pixel rows at a time, d_value so many low-res ones.
    static constexpr int strip_rows = 16, few_rows = 8;

    // Weights are a product of one of the column and one of the row, and code that makes use of it was asked for.
    bool separable() const { return few_channels && !op.has_weights(); }

    // Every low-res cell has the same ratio x ratio pixels: high-res columns can be expanded once and read shifted.
    bool exact() const { return columns->ratio() > 0 && rows->ratio() > 0; }
};

// value, d_output: x, y, c, n. logits: x, y, tap, n.
struct Reassembly {
    Reassembly(const Problem &problem, Halide::Func value, Halide::Func logits);

    Problem problem;
    Weights weights;
    Halide::Func spread;      // exact: low-res rows expanded to high-res columns, x, y (low-res), c, n
                              // few channels: the low-res map, x, y, c, n
                              // else: the same with channels first, c, x, y, n
    Halide::Func low_column;  // few channels: what a window column reads, x, jx
    // separable: the low-res rows that a strip reads, at pixel columns: x, row, c, tile_y (strip), n
    Halide::Func stretched;
    Halide::RDom window;  // jx, jy
    Halide::Func sum;     // exact: x, row, cell, c, n; exact and plain, few channels: x, y, c, n; else c, x, y, n
    Halide::RDom pixels;  // exact, not plain: row in cell, cell, sample
    Halide::Func output;  // x, y, c, n; exact, not plain: its update goes through the rows cell by cell

private:
    void define_axis_by_axis();
};

struct ReassemblyValueBackward {
    ReassemblyValueBackward(const Problem &problem, Halide::Func logits, Halide::Func d_output);

    Problem problem;
    Weights weights;
    FoldedWeights folded;
    Halide::Func gradient;  // exact: d_output, its edge repeated, x, y, c, n; else channels first: c, x, y, n
    // exact: row in cell, jy; few channels: jy, y; else column in cell, row in cell, jx, jy, or tiled without jx
    Halide::RDom pixels;
    // exact: x, y (low-res), jx, c, n: summed over the rows of a window column; any size, tiled: the same with x
    // low-res, summed over the columns of a cell as well; few channels: x, y (of few_rows low-res ones), jx, c, tile_y,
    // n: what the pixels of a column give to a low-res row through a window column; separable: the same without jx
    Halide::Func partial;
    // tiled: partial with zeros left and right of the image; x (low-res, from the first cell that gives to the tile),
    // column (any size: 0), y, jx, c, tile_x, tile_y, tile_c, n
    Halide::Func by_cell;
    Halide::Func padded;  // whole rows: partial with zeros left and right of the image, at high-res columns
    Halide::RDom pixel_columns;
    Halide::Func gathered;  // whole rows: x, y (low-res), c, n: summed over window columns; cell x is ratio x ...
    Halide::Func edged;  // few channels, not separable: partial, what went beyond the left and right edge given to it
    Halide::Func giver;  // few channels: pixel column that gives to low-res column x: x, column (in its cell), jx
    Halide::Func giver_weight;  // the same: 0: it does not give; else 1, or separable: its weight
    Halide::RDom columns;       // exact, tiled or few channels: column in cell, and jx where not exact
    // exact or few channels: x, y, c, n; any size: c, x, y, n; tiled: x, y, c, tile_x, tile_y, tile_c, n
    Halide::Func sum;
    Halide::RDom tiles;   // tiled: x, y, c, tile_x, tile_y, tile_c, n
    Halide::Func output;  // x, y, c, n; tiled: its update goes through the tiles

private:
    void define_column_sums();
    void define_cell_sums();
    void define_whole_rows();
    void define_tiles();
    void define_any_size();
    void define_few_channels(Halide::Func d_output);
};

struct ReassemblyWeightBackward {
    // bias: tap, n: what is added to it; undefined: nothing.
    ReassemblyWeightBackward(const Problem &problem, Halide::Func value, Halide::Func logits, Halide::Func d_output,
                             Halide::Func bias = Halide::Func());

    Problem problem;
    Weights weights;
    Halide::Func spread, low_column;  // as in Reassembly
    Halide::Func gradient;            // not exact, many channels: d_output with channels first
    Halide::RDom channel;             // c
    Halide::Func d_cell;              // exact, not plain: x, row, cell, jx, jy, n
    Halide::Func d_window;            // x, y, jx, jy, n
    WeightsBackward adjoint;
    Halide::RDom pixels;  // exact, not plain: row in cell, cell, sample
    Halide::Func output;  // x, y, tap, n; exact, not plain: its update goes through the rows cell by cell
};

}  // namespace upwell
