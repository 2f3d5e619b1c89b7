#include "algebra/contraction.h"

namespace upwell {

using namespace Halide;

std::vector<Var> Contraction::indices() {
    return {Var("i0"), Var("i1"), Var("i2"), Var("i3"), Var("i4")};
}

Contraction::Contraction(Func left, Expr width, Func right, Func offset, Expr factor, const std::vector<Expr> &extents)
    : sum("sum"), output("contraction"),
      over({{0, extents[0]}, {0, extents[1]}, {0, extents[2]}}, "over") {
    const std::vector<Var> i = indices();
    const auto place = [&](Expr innermost) {
        return std::vector<Expr>{innermost, i[1], i[2], i[3], i[4], over[0], over[1], over[2]};
    };
    const Expr none = Internal::make_zero(Float(64));
    const Expr own = min(likely(i[0]), width - 1);
    const Expr a = cast<double>(left(place(own))), b = cast<double>(right(place(own)));
    sum(i) = none;
    sum(i) += select(likely(i[0] < width), a * b, none);
    output(i) = offset(i) + cast(offset.types()[0], cast<double>(factor) * sum(i));
}

ReciprocalRoot::ReciprocalRoot(Func variance, Expr eps) : output("reciprocal_root") {
    const Var i("i");
    // Below 0 it is 0, and a nan stays one, which max() would not let it.
    const Expr half = variance(i) / 2;
    output(i) = 1 / sqrt(half + abs(half) + eps);
}

}  // namespace upwell
