// The windows that weighted reverse convolution (arXiv 2605.17472) samples, per channel, on maps with circular borders.
// Sample i of an axis reads the pixels s i - before .. s i - before + K - 1. Counted from the image's pixel -before,
// they start at the first of s places of cell i and span as many cells as K needs, so that with the kernel turned round
// and zero beyond K
//     (A X)(i) = sum over t, p of kernel(p, t) X(cell i + t, place p)
//     (A' z)(cell m, place p) = sum over t of kernel(p, t) z(m - t)
#pragma once

#include "Halide.h"

#include "algebra/dimensions.h"
#include "algebra/form.h"

namespace upwell {

inline const Halide::Var place_x("place_x"), place_y("place_y");

struct WrcWindows {
    Halide::Func kernel;          // place x, cell x, place y, cell y, c
    Halide::Expr scale;           // s
    Halide::Expr columns, rows;   // cells of a map
    Halide::Expr span_x, span_y;  // cells of a window, no more than those of a map
    Halide::Expr before_x, before_y;
    Halide::Type type;
    Form form;

    Halide::Expr width() const { return columns * scale; }
    Halide::Expr height() const { return rows * scale; }
};

// Low-res rows that kernels pass each other, and rows of scratch, are stored in multiples of this.
constexpr int stored_multiple = 16;
Halide::Expr stored(Halide::Expr columns);

// i, which is less than a period away, as a place of the period.
Halide::Expr wrap(Halide::Expr i, Halide::Expr period);

// The columns of a map (x, y, c, n) repeated on both sides. Form::Scan: row by row.
struct Periodic {
    Halide::Func result;  // x, y, c, n
    Halide::RDom inside, left, right;
};

// The first `period` of `given` columns of map, repeated for `before` and `after` columns.
Periodic repeat_columns(const std::string &name, Halide::Func map, Halide::Expr given, Halide::Expr period,
                        Halide::Expr before, Halide::Expr after, Form form);

// A high-res map by cell and place.
struct Places {
    Periodic row;         // x: pixel; y: cell row times s plus place
    Halide::Func result;  // x (cell), place_x, place_y, y (cell), c, n
};

Places by_place(const std::string &name, Halide::Func map, const WrcWindows &windows);

// A of what is given by place, or with the squares of A's elements.
struct WindowSum {
    Halide::Func sum;     // x, y, c, n
    Halide::RDom window;  // place x, cell x, place y, cell y
};

// powers: of A's elements, 1 or 2, for each value of places.
WindowSum sum_windows(const std::string &name, Halide::Func places, const WrcWindows &windows,
                      const std::vector<int> &powers);

// A' of a low-res map whose columns are repeated by what a window spans.
struct WindowSpread {
    Halide::Func sum;    // x (cell), place_x, place_y, y (cell), c, n
    Halide::RDom cells;  // of the windows that reach a pixel
};

WindowSpread spread_windows(const std::string &name, Halide::Func repeated, const WrcWindows &windows);

// Cell and place of every pixel of an axis.
struct PixelPlaces {
    Halide::Func cell, place;
};

// A' of a low-res map, pixel by pixel.
struct PixelSpread {
    Periodic low;              // the map, its columns repeated
    Halide::Func sum;          // Form::Scan: x (cell), place_x, y (pixel), c, n; Form::Gather: result
    Halide::RDom cells;        // as WindowSpread
    Halide::Func interleaved;  // Form::Scan: a row of pixels, the first of them pixel -before
    Halide::RDom place;        // Form::Scan: place x, cell x
    Halide::Func result;       // x, y, c, n
};

// map has `given` columns.
PixelSpread spread_to_pixels(const std::string &name, Halide::Func map, Halide::Expr given, const PixelPlaces &x_places,
                             const PixelPlaces &y_places, const WrcWindows &windows);

}  // namespace upwell
