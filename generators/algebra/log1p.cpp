#include "algebra/log1p.h"

#include "algebra/numbers.h"

namespace upwell {

using namespace Halide;
using Internal::make_const, Internal::make_one;

// w = v^2 below 1/2 as 2 atanh(t), t = w / (2 + w) <= 1/5, a series of which no term cancels another: it holds whatever
// a compiler makes of floating-point algebra. Halide's own log takes a nan or an infinity for a number.
Expr log1p_square(Expr v) {
    const Type type = v.type();
    const auto number = [&](double value) { return make_const(type, value); };
    const int terms = type.bits() == 64 ? 12 : 6;
    const Expr w = v * v, small = min(w, number(0.5)), t = small / (small + number(2)), square = t * t;
    Expr sum = number(2.0 / (2 * terms - 1));
    for (int i = terms - 1; i > 0; i--) {
        sum = sum * square + number(2.0 / (2 * i - 1));
    }
    return select(!is_finite_bits(w), w, w < number(0.5), sum * t, log(w + number(1)));
}

Expr log1p_square_slope(Expr v) {
    const Expr one = make_one(v.type());
    return 2 * v / (one + v * v);
}

}  // namespace upwell
