#include "algebra/box.h"

#include "algebra/tuples.h"

namespace upwell {

using namespace Halide;
using Internal::make_one, Internal::make_zero;

namespace {

Expr inside(Expr place, Expr extent) {
    return clamp(place, 0, extent);
}

// Sum of f over the block of each place, before it and from it on.
void define_sums(Box &box, Func f, int dimension, const BoxAxis &axis) {
    const Arguments args = arguments(f);
    const auto undefined = [](Expr value) { return undef(value.type()); };
    const auto zero = [](Expr value) { return make_zero(value.type()); };
    const std::vector<Expr> value = values(f, args);
    const RDom r(0, axis.extent, "place");

    box.prefix(args) = each(undefined, value);
    box.prefix(at(args, dimension, 0)) = each(zero, value);
    const auto next = [&](Expr sum, Expr v) { return select(axis.phase(r + 1) == 0, make_zero(v.type()), sum + v); };
    box.prefix(at(args, dimension, r + 1)) =
        each(next, values(box.prefix, at(args, dimension, r)), values(f, at(args, dimension, r)));

    const Expr place = axis.extent - 1 - r;
    box.suffix(args) = each(undefined, value);
    box.suffix(at(args, dimension, axis.extent)) = each(zero, value);
    const auto previous = [&](Expr sum, Expr v) {
        return v + select(axis.phase(place + 1) == 0, make_zero(v.type()), sum);
    };
    box.suffix(at(args, dimension, place)) =
        each(previous, values(box.suffix, at(args, dimension, place + 1)), values(f, at(args, dimension, place)));
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

std::vector<Expr> box_sum(const Box &box, const Arguments &args, int dimension, const BoxAxis &axis) {
    if (axis.form == Form::Gather) {
        return values(box.sum, args);
    }
    const Expr tail = inside(axis.tail(args[dimension]), axis.extent),
               head = inside(axis.head(args[dimension]), axis.extent);
    return each(std::plus<Expr>(), values(box.suffix, at(args, dimension, tail)),
                values(box.prefix, at(args, dimension, head)))
        .as_vector();
}

Box make_box(const std::string &name) {
    return {Func(name + "_prefix"), Func(name + "_suffix"), Func(name + "_sum"), Func(name + "_scaled"), Func(name)};
}

// f, each place over the count of its box.
void define_scaled(Func scaled, const std::vector<Expr> &f, const Arguments &args, int dimension, const BoxAxis &axis) {
    const Expr scale = axis.inverse_count(args[dimension]);
    scaled(args) = each([&](Expr value) { return value * scale; }, f);
}

}  // namespace

BoxAxis::BoxAxis(const std::string &name, Expr any_radius, Expr extent, Type type, Form form)
    : form(form), extent(extent), radius(clamp(any_radius, 0, extent)), phase(name + "_phase"), tail(name + "_tail"),
      head(name + "_head"), inverse_count(name + "_inverse_count") {
    Var i("i");
    const Expr length = 2 * radius + 1;
    const Expr first = i - radius, behind = i + radius + 1;
    phase(i) = i % length;
    tail(i) = select(first < 0, extent, first);
    // A block that begins behind the image has no sum; one that ends there has the sum of all it holds.
    head(i) = select(behind <= extent, behind, select(behind / length * length < extent, extent, 0));
    inverse_count(i) = make_one(type) / cast(type, max(1, min(behind, extent) - max(first, 0)));
}

Box box_mean(const std::string &name, Func f, int dimension, const BoxAxis &axis) {
    Box box = make_box(name);
    define(box, f, dimension, axis);
    const Arguments args = arguments(f);
    define_scaled(box.result, box_sum(box, args, dimension, axis), args, dimension, axis);
    return box;
}

Box box_mean_transpose(const std::string &name, Func g, int dimension, const BoxAxis &axis) {
    Box box = make_box(name);
    const Arguments args = arguments(g);
    define_scaled(box.scaled, values(g, args), args, dimension, axis);
    define(box, box.scaled, dimension, axis);
    box.result(args) = Tuple(box_sum(box, args, dimension, axis));
    return box;
}

}  // namespace upwell
