#include "algebra/box.h"

#include "algebra/tuples.h"

namespace upwell {

using namespace Halide;
using Internal::make_one, Internal::make_zero;

namespace {

// A place of a block.
Arguments in_block(Arguments args, int dimension, Expr place, Expr block) {
    args[dimension] = place;
    args.insert(args.begin() + dimension + 1, block);
    return args;
}

// Sums of f over the first places of a block, and over the others.
void define_sums(Box &box, Func f, int dimension, const BoxAxis &axis) {
    const Arguments args = arguments(f);
    const Expr place = args[dimension], block = box.block;
    const auto undefined = [](Expr value) { return undef(value.type()); };
    const auto zero = [](Expr value) { return make_zero(value.type()); };
    const auto at_place = [&](Expr t) { return in_block(args, dimension, t, block); };
    const auto element = [&](Expr t) {
        const Expr i = block * axis.length - axis.radius + t;
        const auto inside = [&](Expr value) { return select(i >= 0 && i < axis.extent, value, zero(value)); };
        return each(inside, values(f, at(args, dimension, clamp(i, 0, axis.extent - 1)))).as_vector();
    };
    const std::vector<Expr> value = values(f, args);

    const RDom before(0, axis.length - 1, "place");
    box.prefix(at_place(place)) = each(undefined, value);
    box.prefix(at_place(0)) = each(zero, value);
    box.prefix(at_place(before + 1)) = each(std::plus<Expr>(), values(box.prefix, at_place(before)), element(before));

    const RDom behind(0, axis.length, "place");
    const Expr t = axis.length - 1 - behind;
    box.suffix(at_place(place)) = each(undefined, value);
    box.suffix(at_place(axis.length)) = each(zero, value);
    box.suffix(at_place(t)) = each(std::plus<Expr>(), element(t), values(box.suffix, at_place(t + 1)));
}

// Sum of f over the box of each place.
void define_sum(Box &box, Func f, int dimension, const BoxAxis &axis) {
    const Arguments args = arguments(f);
    const Expr i = args[dimension];
    RDom r(0, axis.extent, "place");
    r.where(r >= i - axis.radius && r <= i + axis.radius);
    box.sum(args) = each([](Expr value) { return make_zero(value.type()); }, values(f, args));
    box.sum(args) = each(std::plus<Expr>(), values(box.sum, args), values(f, at(args, dimension, r)));
}

void define(Box &box, Func f, int dimension, const BoxAxis &axis) {
    if (axis.form == Form::Gather) {
        define_sum(box, f, dimension, axis);
    } else {
        define_sums(box, f, dimension, axis);
    }
}

// scale * sum of f over the box of each place; scale(place).
template<class Scale> void define_result(Box &box, Func f, int dimension, const BoxAxis &axis, const Scale &scale) {
    const Arguments args = arguments(f);
    const Expr i = args[dimension];
    if (axis.form == Form::Gather) {
        box.result(args) = each([&](Expr sum) { return scale(sum, i); }, values(box.sum, args));
        return;
    }
    const Expr own = min(box.block * axis.length + i, axis.extent - 1);
    const auto add = [&](Expr tail, Expr head) { return scale(tail + head, own); };
    box.blocks(in_block(args, dimension, i, box.block)) =
        each(add, values(box.suffix, in_block(args, dimension, i, box.block)),
             values(box.prefix, in_block(args, dimension, i, box.block + 1)));
    box.result(args) = Tuple(values(box.blocks, in_block(args, dimension, axis.place(i), axis.block(i))));
}

Box make_box(const std::string &name) {
    return {Var("block"),
            Func(name + "_prefix"),
            Func(name + "_suffix"),
            Func(name + "_blocks"),
            Func(name + "_sum"),
            Func(name + "_scaled"),
            Func(name)};
}

}  // namespace

BoxAxis::BoxAxis(const std::string &name, Expr any_radius, Expr extent, Type type, Form form)
    : form(form), extent(extent), radius(clamp(any_radius, 0, extent)), length(2 * radius + 1), phase(name + "_phase"),
      number(name + "_number"), inverse_count(name + "_inverse_count") {
    Var i("i");
    phase(i) = i % length;
    number(i) = i / length;
    inverse_count(i) = make_one(type) / cast(type, max(1, min(i + radius + 1, extent) - max(i - radius, 0)));
}

Expr BoxAxis::place(Expr i) const {
    return clamp(phase(i), 0, min(length, extent) - 1);
}

Expr BoxAxis::block(Expr i) const {
    return clamp(number(i), 0, (extent - 1) / length);
}

Box box_mean(const std::string &name, Func f, int dimension, const BoxAxis &axis) {
    Box box = make_box(name);
    define(box, f, dimension, axis);
    define_result(box, f, dimension, axis, [&](Expr sum, Expr i) { return sum * axis.inverse_count(i); });
    return box;
}

Box box_mean_transpose(const std::string &name, Func g, int dimension, const BoxAxis &axis) {
    Box box = make_box(name);
    const Arguments args = arguments(g);
    const Expr scale = axis.inverse_count(args[dimension]);
    box.scaled(args) = each([&](Expr value) { return value * scale; }, values(g, args));
    define(box, box.scaled, dimension, axis);
    define_result(box, g, dimension, axis, [](Expr sum, Expr) { return sum; });
    return box;
}

}  // namespace upwell
