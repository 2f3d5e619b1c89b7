// Memory of a Halide buffer between two guards of NaN: a value read past an end spoils the answer, and one written
// there is seen.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "Halide.h"

namespace upwell::test {

template<class T> class Memory {
public:
    // sizes: innermost first.
    Memory(const std::vector<double> &values, const std::vector<int> &sizes)
        : data(values.size() + 2 * guard, static_cast<T>(NAN)), sizes(sizes) {
        std::copy(values.begin(), values.end(), data.begin() + guard);
    }

    Halide::Buffer<> buffer() { return Halide::Buffer<T>(data.data() + guard, sizes); }

    std::vector<double> values() const { return {data.begin() + guard, data.end() - guard}; }

    bool guards_hold() const {
        const auto untouched = [](T value) { return std::isnan(value); };
        return std::all_of(data.begin(), data.begin() + guard, untouched) &&
               std::all_of(data.end() - guard, data.end(), untouched);
    }

private:
    static constexpr size_t guard = 256;
    std::vector<T> data;
    std::vector<int> sizes;
};

}  // namespace upwell::test
