#include "algebra/scaled_softmax.h"

#include "algebra/numbers.h"

namespace upwell::scaled_softmax {

using namespace Halide;

namespace {

// Of a pixel: the sum that weights are divided by, and whether it is the least one.
struct Divisor {
    Expr value, is_least;

    explicit Divisor(const FuncRef &sums) {
        const Expr all = sums[0], scaled = sums[1], floor = cast(all.type(), Expr(least)) * all;
        is_least = scaled < floor;
        value = with_nan_of(scaled, select(is_least, floor, scaled));
    }
};

}  // namespace

Weights::Weights(const Problem &p)
    : given("given"), largest("largest"), exponentials("exponentials"), sums("sums"), output("weights"),
      each(0, p.count, "each") {
    const Type type = p.scores.types()[0];
    given(x, y, t, n) = p.scores(x, y, t, n);
    largest(x, y, n) = type.min();
    largest(x, y, n) = max(largest(x, y, n), given(x, y, each, n));
    const Expr from_largest = given(x, y, t, n) - largest(x, y, n);
    exponentials(x, y, t, n) = with_nan_of(from_largest, exp(from_largest));
    const Expr zero = Internal::make_zero(type), one = exponentials(x, y, each, n);
    sums(x, y, n) = Tuple(zero, zero);
    sums(x, y, n) = Tuple(sums(x, y, n)[0] + one, sums(x, y, n)[1] + one * p.factors(each));
    output(x, y, t, n) = exponentials(x, y, t, n) * p.factors(t) / Divisor(sums(x, y, n)).value;
}

Gradients::Gradients(const Problem &p, Func d_weights)
    : weights(p), given("d_given"), mean("mean"), output("d_scores") {
    const Divisor divisor(weights.sums(x, y, n));
    const RDom &each = weights.each;
    const Expr zero = Internal::make_zero(p.scores.types()[0]);
    given(x, y, t, n) = d_weights(x, y, t, n);
    mean(x, y, n) = zero;
    mean(x, y, n) += weights.exponentials(x, y, each, n) * p.factors(each) / divisor.value * given(x, y, each, n);
    // A sum at its floor is that of exponentials alone.
    const Expr exponential = weights.exponentials(x, y, t, n), by = given(x, y, t, n),
               weight = exponential * p.factors(t) / divisor.value,
               share = select(divisor.is_least, exponential / weights.sums(x, y, n)[0], weight),
               others = select(divisor.is_least, zero, mean(x, y, n));
    output(x, y, t, n) = Tuple(weight * by - share * mean(x, y, n), exponential / divisor.value * (by - others));
}

}  // namespace upwell::scaled_softmax
