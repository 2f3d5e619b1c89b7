#include "algebra/pixel_sums.h"

#include "algebra/dimensions.h"

namespace upwell {

using namespace Halide;

PixelSums::PixelSums(Func input, Expr width, Expr height, Func columns, Expr most_columns, Func rows, Expr most_rows)
    : row_list(0, most_rows, "row_list"), column_list(0, most_columns, "column_list"), row_sums("row_sums"),
      sums("sums"), output("pixel_sums") {
    const Expr none = Internal::make_zero(input.types()[0]);
    const Expr picked_row = rows(y, row_list);
    row_list.where(picked_row >= 0);
    row_sums(x, y, c) = none;
    row_sums(x, y, c) += input(x, clamp(picked_row, 0, height - 1), c);
    const Expr picked_column = columns(x, column_list);
    sums(x, y, c) = none;
    sums(x, y, c) += select(picked_column >= 0, row_sums(clamp(picked_column, 0, width - 1), y, c), none);
    output(x, y, c) = sums(x, y, c);
}

}  // namespace upwell
