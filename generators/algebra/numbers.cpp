#include "algebra/numbers.h"

namespace upwell {

using namespace Halide;

namespace {

// IEEE 754.
Expr infinity(Type type) {
    return type.bits() == 64 ? Expr(int64_t(0x7ff) << 52) : Expr(int32_t(0xff) << 23);
}

Expr minus_infinity(Type type) {
    return type.bits() == 64 ? Expr(-(int64_t(1) << 52)) : Expr(-(int32_t(1) << 23));
}

// As a signed integer: as v >= +0 grows so do they; those of negative numbers are at most minus infinity's, and those of
// nans beyond those of the infinities.
Expr bits(Expr v) {
    return reinterpret(Int(v.type().bits()), v);
}

Expr magnitude(Expr v) {
    return bits(v) & bits(v).type().max();
}

Expr number(Type type, Expr bits) {
    return reinterpret(type, bits);
}

Expr zero(Expr v) {
    return Internal::make_zero(bits(v).type());
}

}  // namespace

Expr is_finite_bits(Expr v) {
    return magnitude(v) < infinity(v.type());
}

Expr is_nan_bits(Expr v) {
    return magnitude(v) > infinity(v.type());
}

// All numbers below zero, and those alone, have bits of at most minus infinity's.
Expr relu(Expr v) {
    return number(v.type(), select(bits(v) > minus_infinity(v.type()), bits(v), zero(v)));
}

Expr relu_where(Expr on, Expr v) {
    const Expr least = select(on, minus_infinity(v.type()), bits(v).type().min());
    return number(v.type(), select(bits(v) > least, bits(v), zero(v)));
}

Expr passes_relu(Expr v) {
    return bits(relu(v)) != zero(v);
}

Expr with_nan_of(Expr witness, Expr v) {
    return number(v.type(), select(is_nan_bits(witness), bits(witness), bits(v)));
}

Expr zero_times(Expr v) {
    const Expr nan = infinity(v.type()) + (Internal::make_one(bits(v).type()) << (v.type().bits() == 64 ? 51 : 22));
    return number(v.type(), select(magnitude(v) < infinity(v.type()), zero(v), nan));
}

}  // namespace upwell
