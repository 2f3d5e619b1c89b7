// Sums over taps at listed offsets from a pixel, whatever lies beyond the map: the trilinear form
//     T(weight, value, g) = sum over pixels p, taps t and channels c of weight_t(p) value(cell(p) + offset_t, c) g(p,
//     c)
// and its three derivatives. A pixel (x, s, j) lies in column x, in row s of those in the cells' row j. Columns count
// in pixels and rows in cells, and tables say which cell of the map stands at each of them, beyond its ends too: so any
// border that repeats cells of the map is a table, and the derivative by value gathers through the table turned round.
#pragma once

#include "Halide.h"

namespace upwell::listed_taps {

inline const Halide::Var x("x"), s("s"), j("j"), c("c"), t("t"), n("n"), u("u"), b("b"), k("k");

constexpr int tile = 32;      // pixels of a row side by side, on a machine of few lanes
constexpr int block = 16;     // channels whose products are summed in registers
constexpr int tap_block = 8;  // taps side by side

struct Taps {
    Halide::Func across, down;  // of a tap: its offset in pixels of a row, in rows of cells
    Halide::Expr count;
    Halide::Expr reach_x, reach_y;  // the farthest one's
};

// Maps of pixels (x, s, j, channel, n), of cells (x, j, channel, n). columns, rows: from `reach` before the map on.
struct Map {
    Halide::Func value, columns, rows;
    Halide::Expr w, h;            // cells
    Halide::Expr W, S, channels;  // pixels of a row, rows of pixels in one of cells
    int tile = 1;                 // pixels of a row that are summed side by side
};

struct Sum {
    Sum(const Map &map, const Taps &taps, Halide::Func weight);

    Halide::Func lines;    // x, j, c, n: value at the pixels of rows of cells, beyond the map too
    Halide::Func of_tile;  // u, b, s, j, t, n: weight
    Halide::Func sums, output;
    Halide::RDom each;
    Halide::Expr is_dense;  // a pixel a cell
};

struct Dot {
    Dot(const Map &map, const Taps &taps, Halide::Func d_output);

    Halide::Func lines;
    Halide::Func products, total, output;  // k: block of channels
    Halide::RDom channels, blocks;
    Halide::Expr is_dense;
};

// What cells get, and those beyond the map that a table repeats: x, j from `reach` before it on.
struct Transposed {
    Transposed(const Map &map, const Taps &taps, Halide::Func weight, Halide::Func d_output);

    Halide::Func of_tile;  // u, b, s, j, t, n: the weight of what reads this place as tap t
    Halide::Func lines;    // x, s, j, c, n: d_output, 0 beyond the map
    Halide::Func sums, output;
    Halide::RDom each;
};

// Each cell with those that repeat it: columns and rows of `extended`, so many of a cell; fewer are filled up with -1.
struct Fold {
    Fold(Halide::Func extended, Halide::Func columns, Halide::Func rows, Halide::Expr columns_of_one,
         Halide::Expr rows_of_one, const Map &map);

    Halide::Func of_rows, sums, output;
    Halide::RDom columns, rows;
};

}  // namespace upwell::listed_taps
