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

Reads read_corners(int64_t low, int64_t high) {
    Reads reads{std::vector<int>(high), std::vector<double>(high)};
    const int64_t whole = std::max<int64_t>(high - 1, 1);
    for (int64_t p = 0; p < high; p++) {
        const int64_t place = p * (low - 1);
        reads.lower[p] = static_cast<int>(place / whole);
        reads.fraction[p] = static_cast<double>(place % whole) / static_cast<double>(whole);
    }
    return reads;
}

Readers readers_of(const Reads &reads, int64_t low) {
    const int high = static_cast<int>(reads.lower.size());
    Readers readers{1, std::vector<int>(low, high - 1), {}};
    std::vector<int> last(low, 0);
    const auto read = [&](int p, int value) {
        readers.first[value] = std::min(readers.first[value], p);
        last[value] = std::max(last[value], p);
    };
    for (int p = 0; p < high; p++) {
        read(p, reads.lower[p]);
        if (reads.fraction[p] > 0) {
            read(p, reads.lower[p] + 1);
        }
    }
    for (int64_t i = 0; i < low; i++) {
        readers.count = std::max<int64_t>(readers.count, last[i] - readers.first[i] + 1);
    }
    readers.weight.resize(low * readers.count);
    for (int64_t i = 0; i < low; i++) {
        for (int p = readers.first[i]; p <= last[i]; p++) {
            readers.weight[i * readers.count + p - readers.first[i]] =
                reads.lower[p] == i ? 1 - reads.fraction[p] : reads.fraction[p];
        }
    }
    return readers;
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
