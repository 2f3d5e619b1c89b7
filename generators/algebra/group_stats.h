// Mean and variance of groups of channels, of a map or of the map blurred (weights side, 1 - 2 side, side on each axis,
// border repeated), and their gradient. Two passes: the second sums squares of differences from the mean.
#pragma once

#include "Halide.h"

namespace upwell::group_stats {

constexpr int strip_rows = 32;  // of a partial sum
constexpr int columns = 16;     // that are summed side by side

inline const Halide::Var x("x"), y("y"), c("c"), n("n"), g("g"), strip("strip"), column("column"), kind("kind");

// x, y, c, n, of a map of sizes W, H.
Halide::Func repeat_border(const std::string &name, Halide::Func map, Halide::Expr width, Halide::Expr height);
// On one axis: along rows, or of a row with those above and below it.
Halide::Func blur_along(const std::string &name, Halide::Func bordered, Halide::Expr side);
Halide::Func blur_across(const std::string &name, Halide::Func rows, Halide::Expr side);

// map W, H, C, N -> output 2 (mean, variance), groups, N.
struct GroupStats {
    Halide::Func bordered, rows;  // the map with its border, and blurred along its rows
    // sums, squares: column, strip, g, n; mean (from a value of the group on), variance: g, n
    Halide::Func sums, mean, squares, variance, output;
    Halide::RDom pixels, totals;

    GroupStats(Halide::Func map, Halide::Expr side, Halide::Expr channels, Halide::Expr width, Halide::Expr height);
};

// scale(c, n) blur(blur(map)) + shift(c, n) + added: with the right factors the gradient that the statistics pass on.
struct GroupStatsBackward {
    Halide::Func bordered_map, rows, blurred;  // the map with its border, blurred along its rows, blurred
    Halide::Func bordered, blurred_rows;       // that with its border, and blurred along its rows
    Halide::Func output;

    GroupStatsBackward(Halide::Func map, Halide::Expr side, Halide::Func scale, Halide::Func shift, Halide::Func added,
                       Halide::Expr width, Halide::Expr height);
};

}  // namespace upwell::group_stats
