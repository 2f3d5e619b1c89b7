#include "algebra/group_stats.h"

namespace upwell::group_stats {

using namespace Halide;

Func repeat_border(const std::string &name, Func map, Expr width, Expr height) {
    Func bordered(name);
    bordered(x, y, c, n) = map(clamp(x, 0, width - 1), clamp(y, 0, height - 1), c, n);
    return bordered;
}

Func blur_along(const std::string &name, Func bordered, Expr side) {
    Func blurred(name);
    const auto at = [&](int step) { return bordered(likely(x) + step, y, c, n); };
    blurred(x, y, c, n) = (1 - 2 * side) * at(0) + side * (at(-1) + at(1));
    return blurred;
}

Func blur_across(const std::string &name, Func rows, Expr side) {
    Func blurred(name);
    blurred(x, y, c, n) = (1 - 2 * side) * rows(x, y, c, n) + side * (rows(x, y - 1, c, n) + rows(x, y + 1, c, n));
    return blurred;
}

GroupStats::GroupStats(Func map, Expr side, Expr channels, Expr width, Expr height)
    : bordered(repeat_border("bordered_map", map, width, height)), rows(blur_along("rows", bordered, side)),
      sums("sums"), mean("mean"), squares("squares"), variance("variance"), output("statistics"),
      pixels(0, (width + columns - 1) / columns, 0, strip_rows, 0, channels, "pixels"),
      totals(0, columns, 0, (height + strip_rows - 1) / strip_rows, "totals") {
    const Type type = map.types()[0];
    const Expr none = Internal::make_zero(type);
    const Expr count = cast(type, width) * cast(type, height) * cast(type, channels);
    const Expr px = pixels.x * columns + column, py = strip * strip_rows + pixels.y, pc = g * channels + pixels.z;
    const Expr inside = likely(px < width) && py < height;
    // From a value of the group on: sums of numbers that share a large part would lose their last digits. Strict, so
    // that no algebra takes the sum first.
    const Expr near = map(width / 2, height / 2, g * channels, n);
    const auto from_near = [&](Expr value) { return strict_float(value - near); };
    // The blurred map's mean is the map's: a pixel's shares add up to 1, those that a repeated border has among them.
    const Expr own = map(min(px, width - 1), min(py, height - 1), pc, n);
    sums(column, strip, g, n) = none;
    sums(column, strip, g, n) += select(inside, from_near(own), none);
    mean(g, n) = none;
    mean(g, n) += sums(totals.x, totals.y, g, n) / count;
    const Expr here = from_near(select(side == 0, own, blur_across("value", rows, side)(px, py, pc, n)));
    squares(column, strip, g, n) = none;
    squares(column, strip, g, n) += select(inside, (here - mean(g, n)) * (here - mean(g, n)), none);
    variance(g, n) = none;
    variance(g, n) += squares(totals.x, totals.y, g, n) / count;
    output(kind, g, n) = select(kind == 0, near + mean(g, n), variance(g, n));
}

GroupStatsBackward::GroupStatsBackward(Func map, Expr side, Func scale, Func shift, Func added, Expr width, Expr height)
    : bordered_map(repeat_border("bordered_map", map, width, height)), rows(blur_along("rows", bordered_map, side)),
      blurred(blur_across("blurred", rows, side)), bordered(repeat_border("bordered", blurred, width, height)),
      blurred_rows(blur_along("blurred_rows", bordered, side)), output("d_map") {
    // A tile of a GPU may reach beyond the map.
    const Expr own_x = min(likely(x), width - 1), own_y = min(likely(y), height - 1);
    const Expr twice = blur_across("twice", blurred_rows, side)(x, y, c, n);
    const Expr value = select(side == 0, map(own_x, own_y, c, n), twice);
    output(x, y, c, n) = added(own_x, own_y, c, n) + (scale(c, n) * value + shift(c, n));
}

}  // namespace upwell::group_stats
