// Every pixel is its cell times its index (IndexNet, arXiv 1908.00672): the trilinear form
//     T(value, index, g) = sum over pixels p and channels c of value(cell(p), c) index(p, group of c) g(p, c)
// and its three derivatives. A pixel is (x, s, j): column x, row s of those that stand beside each other in the index,
// which lies as (q, b, s, j) with x = q B + b. All rows s of one j lie in the same row of cells. Cells take from the
// pixels that they have, which lie side by side: no atomics, and the same bits for any number of threads.
#pragma once

#include "Halide.h"

namespace upwell::index_unpool {

inline const Halide::Var x("x"), s("s"), j("j");  // pixel
inline const Halide::Var k("k");                  // j of a row of cells, from its first one
inline const Halide::Var q("q"), b("b");          // column of pixels, as the index has it
inline const Halide::Var u("u"), v("v");          // cell
inline const Halide::Var c("c"), g("g"), n("n");  // channel of a group, group, sample

struct Problem {
    Halide::Func columns;           // (x, 0): its cell; (x, 1): its q; (x, 2): its b
    Halide::Func rows;              // j: its row of cells
    Halide::Func first_x, first_j;  // of a column and of a row of cells, and behind the last one
    Halide::Expr most_x, most_j;    // a cell's
    Halide::Expr w, h;              // cells
    Halide::Expr W, Q, B, S, J;     // pixels
    Halide::Expr channels, groups;  // channels of a group
    Halide::Type type;
};

struct Unpooled {
    // value: u, v, c, g, n; index: q, b, s, j, g, n.
    Unpooled(const Problem &problem, Halide::Func value, Halide::Func index);

    Problem problem;
    Halide::Func by_x;    // x, s, j, g, n: index
    Halide::Func cells;   // x, j, c, g, n: value
    Halide::Func output;  // x, s, j, c, g, n
};

struct DValue {
    // d_output: x, s, j, c, g, n.
    DValue(const Problem &problem, Halide::Func d_output, Halide::Func index);

    Problem problem;
    Halide::Func by_x;     // x, s, k, v, g, n: index
    Halide::RDom pixels;   // s, k
    Halide::Func columns;  // x, v, c, g, n: what the pixels of a row of cells give, column by column
    Halide::RDom in_cell;  // columns of pixels of one of cells
    Halide::Func sum;      // u, v, c, g, n
    Halide::Func d_value;  // u, v, c, g, n
};

struct DIndex {
    DIndex(const Problem &problem, Halide::Func d_output, Halide::Func value);

    Problem problem;
    Halide::RDom channels;
    Halide::Func cells;    // x, j, c, g, n: value
    Halide::Func sum;      // x, s, j, g, n
    Halide::Func d_index;  // q, b, s, j, g, n
};

}  // namespace upwell::index_unpool
