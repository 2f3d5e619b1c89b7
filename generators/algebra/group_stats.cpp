#include "algebra/group_stats.h"

namespace upwell::group_stats {

using namespace Halide;

Func repeat_border(const std::string &name, Func map, Expr width, Expr height) {
    Func bordered(name);
    bordered(x, y, c, n) = map(clamp(x, 0, width - 1), clamp(y, 0, height - 1), c, n);
    return bordered;
}

Func blur(const std::string &name, Func bordered, Expr side) {
    Func blurred(name);
    const Expr middle = 1 - 2 * side;
    const auto row = [&](Expr py) {
        const auto at = [&](int step) { return bordered(likely(x) + step, py, c, n); };
        return middle * at(0) + side * (at(-1) + at(1));
    };
    blurred(x, y, c, n) = middle * row(y) + side * (row(y - 1) + row(y + 1));
    return blurred;
}

GroupStats::GroupStats(Func map, Expr side, Expr channels, Expr width, Expr height)
    : sums("sums"), mean("mean"), squares("squares"), variance("variance"), output("statistics"),
      pixels(0, (width + columns - 1) / columns, 0, strip_rows, 0, channels, "pixels"),
      totals(0, columns, 0, (height + strip_rows - 1) / strip_rows, "totals") {
    const Type type = map.types()[0];
    const Expr none = Internal::make_zero(type);
    const Expr count = cast(type, width) * cast(type, height) * cast(type, channels);
    const Expr px = pixels.x * columns + column, py = strip * strip_rows + pixels.y;
    const Func value = blur("value", repeat_border("bordered_map", map, width, height), side);
    const Expr inside = likely(px < width) && py < height;
    // From a value of the group on: sums of numbers that share a large part would lose their last digits. Strict, so
    // that no algebra takes the sum first.
    const Expr near = map(width / 2, height / 2, g * channels, n);
    const Expr here = strict_float(value(px, py, g * channels + pixels.z, n) - near);
    sums(column, strip, g, n) = none;
    sums(column, strip, g, n) += select(inside, here, none);
    mean(g, n) = none;
    mean(g, n) += sums(totals.x, totals.y, g, n) / count;
    squares(column, strip, g, n) = none;
    squares(column, strip, g, n) += select(inside, (here - mean(g, n)) * (here - mean(g, n)), none);
    variance(g, n) = none;
    variance(g, n) += squares(totals.x, totals.y, g, n) / count;
    output(kind, g, n) = select(kind == 0, near + mean(g, n), variance(g, n));
}

GroupStatsBackward::GroupStatsBackward(Func map, Expr side, Func scale, Func shift, Func added, Expr width, Expr height)
    : blurred(blur("blurred", repeat_border("bordered_map", map, width, height), side)),
      bordered(repeat_border("bordered", blurred, width, height)), output("d_map") {
    const Func twice = blur("twice", bordered, side);
    // A tile of a GPU may reach beyond the map.
    const Expr own_x = min(likely(x), width - 1), own_y = min(likely(y), height - 1);
    output(x, y, c, n) = added(own_x, own_y, c, n) + (scale(c, n) * twice(x, y, c, n) + shift(c, n));
}

}  // namespace upwell::group_stats
