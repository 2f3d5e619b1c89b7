// The one naming of dimensions, innermost first.
#pragma once

#include "Halide.h"

namespace upwell {

inline const Halide::Var x("x"), y("y");            // pixel column and row
inline const Halide::Var c("c"), n("n");            // channel, sample
inline const Halide::Var tap("tap");                // row-major over kernel x kernel
inline const Halide::Var row("row"), cell("cell");  // pixel row in its cell, low-res row
inline const Halide::Var column("column");          // pixel column in its cell
inline const Halide::Var tile_x("tile_x"), tile_y("tile_y"), tile_c("tile_c");
inline const Halide::Var iy("iy");            // row of taps
inline const Halide::Var jx("jx"), jy("jy");  // column and row of the window

}  // namespace upwell
