#include "algebra/linear.h"

#include "algebra/tuples.h"

namespace upwell {

using namespace Halide;
using Internal::make_one, Internal::make_zero;

// A cell of weight 0 is not read: its nan stays where it is.
Expr LinearAxis::cell(Expr pixel, Expr side) const {
    const Expr p = clamp(pixel, 0, high - 1);
    return clamp(lower(p) + select(side == 1 && fraction(p) > 0, 1, 0), 0, low - 1);
}

Expr LinearAxis::weight(Expr pixel, Expr side) const {
    const Expr f = fraction(clamp(pixel, 0, high - 1));
    return select(side == 1, f, make_one(f.type()) - f);
}

Func interpolate(const std::string &name, Func cells, int dimension, const LinearAxis &axis) {
    Func pixels(name);
    const Arguments args = arguments(cells);
    const Expr p = args[dimension];
    const auto blend = [&](Expr a, Expr b) { return axis.weight(p, 0) * a + axis.weight(p, 1) * b; };
    pixels(args) = each(blend, values(cells, at(args, dimension, axis.cell(p, 0))),
                        values(cells, at(args, dimension, axis.cell(p, 1))));
    return pixels;
}

namespace {

// Bit after bit of the largest number of pixels that all come before the cell.
Func first_pixel(const std::string &name, const LinearAxis &axis) {
    constexpr int bits = 30;
    Func first(name);
    Var i("cell");
    const RDom bit(0, bits, "bit");
    first(i) = 0;
    const Expr more = first(i) + (1 << (bits - 1 - bit));
    first(i) = select(more <= axis.high && axis.lower(clamp(more - 1, 0, axis.high - 1)) < i, more, first(i));
    return first;
}

LinearTranspose gather_transpose(const std::string &name, Func pixels, int dimension, const LinearAxis &axis) {
    LinearTranspose transpose{Func(name), RDom(0, axis.high, "pixel"), first_pixel(name + "_first", axis)};
    const Arguments args = arguments(pixels);
    const Expr i = args[dimension], p = transpose.pixels;
    transpose.pixels.where(p >= transpose.first(i - 1) && p < transpose.first(i + 1));
    const auto share = [&](int side) {
        const Expr weight = axis.weight(p, side);
        return select(axis.cell(p, side) == i, weight, make_zero(weight.type()));
    };
    const Expr weight = share(0) + share(1);
    const auto add = [&](Expr sum, Expr v) { return select(weight > 0, sum + weight * v, sum); };
    transpose.sum(args) = each([](Expr v) { return make_zero(v.type()); }, values(pixels, args));
    transpose.sum(args) = each(add, values(transpose.sum, args), values(pixels, at(args, dimension, p)));
    return transpose;
}

}  // namespace

LinearTranspose interpolate_transpose(const std::string &name, Func pixels, int dimension, const LinearAxis &axis) {
    if (axis.form == Form::Gather) {
        return gather_transpose(name, pixels, dimension, axis);
    }
    LinearTranspose transpose{Func(name), RDom(0, 2, 0, axis.high, "pixel"), {}};
    const Expr side = transpose.pixels.x, p = transpose.pixels.y;
    const Arguments args = arguments(pixels), cell = at(args, dimension, axis.cell(p, side));
    transpose.sum(args) = each([](Expr v) { return make_zero(v.type()); }, values(pixels, args));
    const auto add = [&](Expr sum, Expr v) { return sum + axis.weight(p, side) * v; };
    transpose.sum(cell) = each(add, values(transpose.sum, cell), values(pixels, at(args, dimension, p)));
    return transpose;
}

}  // namespace upwell
