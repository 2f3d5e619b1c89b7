// What tiles found, put together: gradients of whole maps from the frames of the adjoint's tiles.
#pragma once

#include "algebra/pcdc.h"

namespace upwell::pcdc {

// padded (x, row, i, g, phase, n, from -reach on) -> map x, y, i, g, n: what lies beyond the border belongs to the
// border's pixels. Then the blur.
struct BorderFold {
    Halide::Func left, right;    // of a row: the sums beyond its ends
    Halide::Func sides_folded;   // x, row, i, g, phase, n
    Halide::Func top, bottom;    // of an image: the sums beyond its first and last row
    Halide::Func folded;         // x, y, i, g, n
    Halide::Func along, output;  // blurred: along x, then along y

    BorderFold() = default;
    // row_of, phase_of: y -> its row and phase.
    BorderFold(Halide::Func padded, Halide::Func row_of, Halide::Func phase_of, Halide::Expr side, Halide::Expr reach_x,
               Halide::Expr reach_y, const Grid &grid);
};

// Frames that overlap (frame column, frame row, i, g, tile_x, tile_y, phase, n) -> map x, y, i, g, n: the transpose of
// stage().
struct CollectedMap {
    Halide::Func padded;
    Halide::RDom tiles;
    BorderFold fold;

    CollectedMap(Halide::Func frames, Halide::Func row_of, Halide::Func phase_of, Halide::Expr side,
                 Halide::Expr reach_x, Halide::Expr reach_y, const Grid &grid);
};

// Frames that do not overlap, since taps reach nowhere: tiles side by side. Without a blur.
struct CollectedTiles {
    Halide::Func output;  // x, y, i, g, n

    CollectedTiles(Halide::Func frames, Halide::Func row_of, Halide::Func phase_of, const Grid &grid);
};

// Frames (o, frame column, frame row, g, tile_x, tile_y, phase, n) -> coarse map o, cell x, cell y, g, n.
struct CollectedCells {
    Halide::Func output;
    Halide::RDom frames;

    // first_column, first_row: of each tile's frame.
    CollectedCells(Halide::Func frame, Halide::Func first_column, Halide::Func first_row, Halide::Expr frame_columns,
                   Halide::Expr frame_rows, Halide::Expr tiles_x, Halide::Expr tiles_y, Halide::Expr width,
                   Halide::Expr height);
};

}  // namespace upwell::pcdc
