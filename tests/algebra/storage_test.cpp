// 16-bit numbers read and rounded by operations on their bits, against their definitions.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>

#include "algebra/storage.h"
#include "support/catch.h"

using namespace upwell;
using Halide::Buffer;

namespace {

struct Format {
    Halide::Type type;
    int mantissa, bias;

    // IEEE 754: a sign, an exponent, a mantissa.
    double value(uint16_t bits) const {
        const int magnitude = bits & 0x7fff, exponent = magnitude >> mantissa, fraction = magnitude % (1 << mantissa);
        const double number = exponent == 0x7fff >> mantissa ? (fraction == 0 ? INFINITY : NAN)
                                                             : std::ldexp(fraction + (exponent > 0 ? 1 << mantissa : 0),
                                                                          std::max(exponent, 1) - bias - mantissa);
        return bits >> 15 ? -number : number;
    }
    uint16_t infinity() const { return uint16_t((0x7fff >> mantissa) << mantissa); }
    // Where infinity would be, if it were a number.
    double end() const { return std::ldexp(1, (0x7fff >> mantissa) - bias); }
    double place(uint16_t magnitude) const { return magnitude == infinity() ? end() : value(magnitude); }
};

const Format formats[] = {{Halide::Float(16), 10, 15}, {Halide::BFloat(16), 7, 127}};

Buffer<uint16_t> every_pattern() {
    Buffer<uint16_t> patterns(1 << 16);
    std::generate(patterns.begin(), patterns.end(), [next = uint16_t(0)]() mutable { return next++; });
    return patterns;
}

std::vector<float> loaded(const Format &format) {
    Buffer<uint16_t> patterns = every_pattern();
    Halide::Func numbers = Storage(format.type, false).load(Halide::Func(patterns));
    const Buffer<float> made = numbers.realize({1 << 16});
    return {made.begin(), made.end()};
}

std::vector<uint16_t> stored(const Format &format, const std::vector<float> &numbers) {
    Buffer<float> input(const_cast<float *>(numbers.data()), int(numbers.size()));
    Halide::Var x;
    Halide::Func bits;
    bits(x) = Storage(format.type, false).store(input(x));
    const Buffer<uint16_t> made = bits.realize({int(numbers.size())});
    return {made.begin(), made.end()};
}

// Numbers that are held, those half way between two, and others of every size.
std::vector<float> numbers(const Format &format) {
    std::vector<float> all;
    for (int bits = 0; bits < format.infinity(); bits++) {
        const double here = format.value(uint16_t(bits)), next = format.place(uint16_t(bits + 1));
        for (const double number : {here, (here + next) / 2}) {
            all.insert(all.end(), {float(number), -float(number), std::nextafter(float(number), 0.0f)});
        }
    }
    std::mt19937 random(1);
    for (int i = 0; i < 100000; i++) {
        const uint32_t bits = uint32_t(random());
        float number;
        std::memcpy(&number, &bits, sizeof number);
        if (std::isfinite(number)) {
            all.push_back(number);
        }
    }
    return all;
}

// No neighbour is nearer, and of two as near the even one is taken.
bool is_nearest(const Format &format, float number, uint16_t bits) {
    const uint16_t magnitude = bits & 0x7fff;
    if (std::signbit(number) != bool(bits >> 15) || magnitude > format.infinity()) {
        return false;
    }
    const double size = std::abs(double(number)), distance = std::abs(format.place(magnitude) - size);
    for (const int step : {-1, 1}) {
        if (magnitude + step < 0 || magnitude + step > format.infinity()) {
            continue;
        }
        const double other = std::abs(format.place(uint16_t(magnitude + step)) - size);
        if (other < distance || (other == distance && magnitude % 2 != 0)) {
            return false;
        }
    }
    return true;
}

}  // namespace

TEST_CASE("16-bit numbers are read as what they are", "[storage]") {
    for (const Format &format : formats) {
        const std::vector<float> values = loaded(format);
        int wrong = 0;
        for (int bits = 0; bits < 1 << 16; bits++) {
            const double expected = format.value(uint16_t(bits)), actual = values[bits];
            wrong += std::isnan(expected) ? !std::isnan(actual)
                                          : actual != expected || std::signbit(actual) != std::signbit(expected);
        }
        CHECK(wrong == 0);
    }
}

TEST_CASE("numbers are rounded to the nearest of 16 bits, ties to even", "[storage]") {
    for (const Format &format : formats) {
        const std::vector<float> given = numbers(format);
        const std::vector<uint16_t> bits = stored(format, given);
        int wrong = 0;
        for (size_t i = 0; i < given.size(); i++) {
            wrong += !is_nearest(format, given[i], bits[i]);
        }
        CHECK(wrong == 0);
        const std::vector<uint16_t> special = stored(format, {INFINITY, -INFINITY, NAN});
        CHECK(special[0] == format.infinity());
        CHECK(special[1] == (0x8000 | format.infinity()));
        CHECK((special[2] & 0x7fff) > format.infinity());
    }
}
