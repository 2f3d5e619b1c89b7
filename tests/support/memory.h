// Memory of a Halide buffer between two guards of NaN: a value read past an end spoils the answer, and one written
// there is seen.
#pragma once

#include <algorithm>
#include <cmath>
#include <type_traits>
#include <vector>

#include "Halide.h"

namespace upwell::test {

// T: float, double, or Halide::float16_t or Halide::bfloat16_t, which kernels take as their bits.
template<class T> class Memory {
    using Stored = std::conditional_t<sizeof(T) == 2, uint16_t, T>;

public:
    // sizes: innermost first.
    Memory(const std::vector<double> &values, const std::vector<int> &sizes)
        : data(values.size() + 2 * guard, static_cast<T>(NAN)), sizes(sizes) {
        std::transform(values.begin(), values.end(), data.begin() + guard, [](double v) { return static_cast<T>(v); });
    }

    Halide::Buffer<> buffer() { return Halide::Buffer<Stored>(reinterpret_cast<Stored *>(data.data() + guard), sizes); }

    std::vector<double> values() const {
        std::vector<double> numbers;
        std::transform(data.begin() + guard, data.end() - guard, std::back_inserter(numbers),
                       [](T v) { return static_cast<double>(v); });
        return numbers;
    }

    bool guards_hold() const {
        const auto untouched = [](T value) { return std::isnan(static_cast<double>(value)); };
        return std::all_of(data.begin(), data.begin() + guard, untouched) &&
               std::all_of(data.end() - guard, data.end(), untouched);
    }

private:
    static constexpr size_t guard = 256;
    std::vector<T> data;
    std::vector<int> sizes;
};

}  // namespace upwell::test
