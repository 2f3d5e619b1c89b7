// Samples of a map at learned offsets (DySample, arXiv 2308.15085), and their two gradients. Pixel p reads, along each
// axis,
//     position(p) = cell(p) + offset(p), clamped to 0 .. cells - 1
// bilinearly: four corners k, so that
//     output(p, c) = sum over k of weight_k(p) value(cell_k(p), c).
// Corner k is the right one if k & 1, the lower one if k & 2. Channels c are those of a group g, which has offsets of
// its own. A class holds the stages by name, so that a schedule can place them.
#pragma once

#include "Halide.h"
#include "algebra/form.h"

namespace upwell::offset_samples {

inline const Halide::Var x("x"), y("y");          // pixel
inline const Halide::Var cell("cell");            // row-major
inline const Halide::Var c("c"), g("g"), n("n");  // channel of a group, group, sample
inline const Halide::Var axis("axis");            // 0: x, 1: y
inline const Halide::Var lane("lane"), block("block");

inline constexpr int corners = 4;

struct Problem {
    Halide::Func offsets;        // place, g, axis, n
    Halide::Func columns, rows;  // (pixel, 0): its cell; (pixel, 1): what the place of its offset has of column and row
    Halide::Expr places;
    Halide::Expr width, height;  // in cells
    Halide::Expr pixel_columns, pixel_rows;
    Halide::Expr channels;  // of a group
    Halide::Type type;
    int lanes;  // channels that are summed side by side
    Form form;
};

// What pixel x, y of g, n reads. A nan among the offsets gives weights of nan to cells of the map.
struct Reads {
    explicit Reads(const Problem &problem);

    Halide::Func cells;         // x, y, g, n: of each corner
    Halide::Func weights;       // x, y, g, n
    Halide::Func across, down;  // x, y, g, n: the weights' derivatives by the position
    Halide::Func is_free;       // x, y, g, n: whether the position is not clamped, along x and along y
    Halide::Func box;           // x, y, g, n: first and last column, first and last row of the corners
};

struct Samples {
    // value: cell, c, g, n.
    Samples(const Problem &problem, Halide::Func value);

    Problem problem;
    Reads reads;
    Halide::Func low;     // c, cell, g, n: value
    Halide::Func high;    // c, x, y, g, n: output
    Halide::Func output;  // x, y, c, g, n
};

// As a scan, pixels give to cells one after the other; as a gather, a cell takes from the pixels that read it, and
// skips rows and columns of them that do not. No atomics, and the same bits for any number of threads.
struct DValue {
    // d_output: x, y, c, g, n.
    DValue(const Problem &problem, Halide::Func d_output);

    static constexpr int gathered = 8;  // channels of a block, which find together what pixels give to a cell

    Problem problem;
    Reads reads;
    Halide::Func high;           // c, x, y, g, n: d_output
    Halide::RDom pixels;         // a scan's: corner, x, y; a gather's: x
    Halide::Func low;            // c, cell, g, n; a scan's
    Halide::RDom columns, rows;  // a gather's, as is all that follows
    Halide::Func row_reads;      // y, g, n: first and last row of cells that a row of pixels reads
    Halide::Func column_reads;   // x, g, n: likewise
    Halide::Func of_row;         // y, block, cell, g, n: what a row of pixels gives
    Halide::RDom lines;          // of pixels
    Halide::Func of_map;         // block, cell, g, n
    Halide::Func d_value;        // cell, c, g, n

private:
    void scatter();
    void gather();
};

struct DOffsets {
    DOffsets(const Problem &problem, Halide::Func d_output, Halide::Func value);

    Problem problem;
    Reads reads;
    Halide::Func low;        // c, cell, g, n: value, 0 beyond the last channel
    Halide::Func high;       // c, x, y, g, n: d_output, likewise
    Halide::RDom blocks;     // of lanes channels
    Halide::Func lane_dots;  // lane, x, y, g, n: of each corner d_output . value, of every lanes-th channel
    Halide::RDom lanes;
    Halide::Func dots;       // x, y, g, n
    Halide::Func d_offsets;  // x, y, g, axis, n
};

}  // namespace upwell::offset_samples
