// A map whose pixels are sums of pixels of another one: extended, cut out, or folded back.
#pragma once

#include "Halide.h"

namespace upwell {

// output(x, y) = the sum over i, j of input(columns(x, i), rows(y, j)), rows first; -1 adds nothing, and among rows is
// the end of a list.
struct PixelSums {
    Halide::RDom row_list, column_list;
    Halide::Func row_sums;  // x (of the input), y, c
    Halide::Func sums;      // x, y, c
    Halide::Func output;    // x, y, c

    // input: x, y, c, of this width and height; columns: x, i; rows: y, j, lists of at most so many.
    PixelSums(Halide::Func input, Halide::Expr width, Halide::Expr height, Halide::Func columns,
              Halide::Expr most_columns, Halide::Func rows, Halide::Expr most_rows);
};

}  // namespace upwell
