#include "algebra/storage.h"

namespace upwell {

using namespace Halide;

namespace {

// IEEE 754: float16 has 10 bits of mantissa and an exponent biased by 15, float32 23 bits and 127, bfloat16 is the
// upper half of float32.
constexpr int mantissa_shift = 23 - 10;
constexpr uint32_t sign = 0x80000000u, infinity = 0x7f800000u;

Expr word(uint32_t bits) {
    return Expr(bits);
}

Expr bits_of(Expr number) {
    return reinterpret<uint32_t>(number);
}

Expr float_of(Expr bits) {
    return reinterpret<float>(bits);
}

// Shifted into place, the exponent is too small by 127 - 15: a product puts that right, for subnormal numbers too.
Expr float16_to_float(Expr half) {
    const Expr wide = cast<uint32_t>(half), magnitude = (wide & 0x7fffu) << mantissa_shift;
    const Expr number = bits_of(float_of(magnitude) * 0x1p112f);
    const Expr not_finite = (wide & 0x7c00u) == word(0x7c00u);
    return float_of(select(not_finite, magnitude | word(infinity), number) | ((wide & 0x8000u) << 16));
}

// Half a unit of the last place that stays, or just less before an even one: what rounds when the rest is cut off.
Expr rounded(Expr bits, int cut) {
    return bits + word((1u << (cut - 1)) - 1) + ((bits >> cut) & 1u);
}

Expr float_to_float16(Expr number) {
    const Expr bits = bits_of(number), magnitude = bits & word(~sign);
    const Expr normal = rounded(magnitude - word((127u - 15u) << 23), mantissa_shift) >> mantissa_shift;
    // Added to 1/2, whose last place is the smallest float16, a subnormal number is rounded by the addition.
    const Expr subnormal = bits_of(float_of(magnitude) + 0.5f) - bits_of(Expr(0.5f));
    const Expr finite = select(magnitude < word((127u - 14u) << 23), subnormal, normal);
    const Expr half = select(magnitude > word(infinity), word(0x7e00u), min(finite, word(0x7c00u)));
    return cast<uint16_t>(half | ((bits & word(sign)) >> 16));
}

Expr float_to_bfloat16(Expr number) {
    const Expr bits = bits_of(number), nan = (bits & word(~sign)) > word(infinity);
    return cast<uint16_t>(select(nan, word(0x7fc0u), rounded(bits, 16) >> 16));
}

}  // namespace

Storage::Storage(Type type, bool has_float16) : type(type), has_float16(has_float16) {}

Type Storage::stored() const {
    return type.bits() == 16 ? UInt(16) : type;
}

Type Storage::arithmetic() const {
    return type.bits() == 16 ? Float(32) : type;
}

Expr Storage::load(Expr bits) const {
    if (type.is_bfloat()) {
        return float_of(cast<uint32_t>(bits) << 16);
    }
    return has_float16 ? cast<float>(reinterpret(Float(16), bits)) : float16_to_float(bits);
}

Func Storage::load(Func buffer) const {
    if (type.bits() != 16) {
        return buffer;
    }
    Func numbers(buffer.name() + "_loaded");
    numbers(_) = load(Expr(buffer(_)));
    return numbers;
}

Expr Storage::store(Expr number) const {
    if (type.bits() != 16) {
        return number;
    }
    if (type.is_bfloat()) {
        return float_to_bfloat16(number);
    }
    return has_float16 ? reinterpret<uint16_t>(cast(Float(16), number)) : float_to_float16(number);
}

}  // namespace upwell
