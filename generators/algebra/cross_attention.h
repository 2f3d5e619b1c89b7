// Attention of the pixels of a high-res map to the cells of a low-res one, each pixel to those in a window of its own,
// and its gradients. Of pixel p, cell l and head g:
//     s(p, l) = scale query_g(p) . key_g(l)
//     a(p, .) = softmax over the window of s(p, .)
//     output(p, c) = sum over l of a(p, l) value(l, c)
// where channel c belongs to a head, or to the mean of all heads' weights.
//
// Pixels are taken a tile of a row at a time: all of them are compared with the cells that any of them sees, and those
// of other pixels weigh nothing. Gradients by cells are gathered: of a block of cells from the pixels that any of them
// is seen by. So nothing is as large as pixels times cells but what a tile holds.
#pragma once

#include "Halide.h"
#include "algebra/form.h"
#include "grid/attention.h"

namespace upwell::cross_attention {

inline const Halide::Var x("x"), y("y"), c("c"), g("g"), n("n"), i("i"), j("j"), u("u"), t("t"), v("v"), b("b"), k("k"),
    lane("lane");

// Maps (x, y, c, g, n). mean: value and d_output have one head, g = 0, with all channels.
struct Problem {
    Halide::Func query, key, value;
    Halide::Func column_begin, column_end, row_begin, row_end;  // of a pixel's column, of its row: cells of its window
    Halide::Func tile_first, row_first;                         // of a tile, of a row: the first cell that is compared
    Halide::Expr columns, rows;                                 // so many cells are compared
    Halide::Expr W, H, w, h, depth, channels, heads, scale;
    bool mean;
    bool leaves_out;  // of sums what weighs nothing; else that is multiplied by 0, and shows where it is no number
};

// Weights of the cells that a tile is compared with: column u of tile t, row y, head g, cell column i, row j.
struct Weights {
    explicit Weights(const Problem &p);

    // s before it is scaled; e^(s - largest); its sum: u, t, y, i, j, g, n without i, j where they are summed over.
    Halide::Func dots, largest, exponentials, total;
    Halide::RDom depth, cells;
};

struct Forward {
    explicit Forward(const Problem &p);

    Problem problem;
    Weights weights;
    Halide::Func mean;  // of all heads, u, t, y, i, j, n; undefined unless it is asked for
    Halide::Func sums, output;
    Halide::RDom heads, cells;
};

// Gradients of the weights with each other's: u, t, y, i, j, g, n.
struct WeightGradients {
    WeightGradients(const Problem &p, Halide::Func d_output);

    Halide::Func d_weights;
    Halide::RDom channels;
};

// What gradients are made of: of each head the logarithm of the sum of e^s, and the mean of the weights' gradients.
struct Statistics {
    Statistics(const Problem &p, Halide::Func d_output);

    Problem problem;
    Weights weights;
    WeightGradients gradients;
    Halide::Func inner, output;  // output: x, y, g, n, both of them
    Halide::RDom cells;
};

struct OfPixels {
    OfPixels(const Problem &p, Halide::Func d_output, Halide::Func logarithm, Halide::Func inner);

    Problem problem;
    Weights weights;  // of which it takes dots
    WeightGradients gradients;
    Halide::Func factors, sums, output;
    Halide::RDom cells;
};

// Pixels that see a block of cells' columns: the first of a row, and so many at most, a multiple of `tile`.
// Form::Gather: of a row of cells too, rows of pixels.
struct Seeing {
    Halide::Func first_pixel;
    Halide::Expr pixels;
    Halide::Func first_line;
    Halide::Expr lines;
};

struct OfCells {
    // by_key: d_key, else d_value. Scan: rows of pixels in turn, each for the rows of cells that it sees. Gather: a row
    // of cells has those that see it.
    OfCells(const Problem &p, Halide::Func d_output, Halide::Func logarithm, Halide::Func inner, const Seeing &seeing,
            Form form, bool by_key);

    Problem problem;
    Seeing seeing;
    // Of pixel v of those of block t with cell b of the block. Scan: in row y of pixels, row k of its window's cells.
    // Gather: in row y of cells, row k of its pixels. And sums over pixels.
    Halide::Func dots, d_weights, factors, row_sums;  // d_weights: of d_key alone; row_sums: of a scan
    Halide::Func partial, total, output;
    Halide::RDom depth, channels, heads, pixels, rows, side_by_side;  // rows: of a scan, of a window and of pixels
};

}  // namespace upwell::cross_attention
