// Where pixels read a line.
#include "reads.h"

#include <algorithm>

#include "position.h"

namespace upwell {

Reads read_bilinear(int64_t low, int64_t high, int64_t count, int64_t step) {
    Reads reads{std::vector<int>(count), std::vector<double>(count)};
    for (int64_t i = 0; i < count; i++) {
        if (const auto [base, fraction] = position(Sampling::Bilinear, step * i, low, high); base >= 0) {
            reads.lower[i] = static_cast<int>(base);
            reads.fraction[i] = fraction;
        }
    }
    return reads;
}

Reads read_bilinear_bordered(int64_t low, int64_t high) {
    Reads reads{std::vector<int>(high), std::vector<double>(high)};
    for (int64_t p = 0; p < high; p++) {
        const auto [base, fraction] = position(Sampling::Bilinear, p, low, high);
        reads.lower[p] = static_cast<int>(base + 1);
        reads.fraction[p] = fraction;
    }
    return reads;
}

Reads read_between_samples(int64_t samples, int64_t high, int64_t step) {
    Reads reads{std::vector<int>(high), std::vector<double>(high)};
    for (int64_t p = 0; p < high; p++) {
        const int64_t base = std::min(p / step, samples - 1);
        reads.lower[p] = static_cast<int>(base);
        reads.fraction[p] = base < samples - 1 ? static_cast<double>(p - step * base) / static_cast<double>(step) : 0;
    }
    return reads;
}

}  // namespace upwell
