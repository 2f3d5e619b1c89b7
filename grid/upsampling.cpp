// The normal matrix of an upsampling.
#include "upsampling.h"

#include <algorithm>

#include "position.h"

namespace upwell {

Upsampling make_upsampling(int64_t low, int64_t high) {
    Upsampling u{std::vector<double>(low), std::vector<double>(low), std::vector<double>(low - 1)};
    for (int64_t p = 0; p < high; p++) {
        const auto [base, fraction] = position(Sampling::Bilinear, p, low, high);
        const int64_t first = std::clamp<int64_t>(base, 0, low - 1), second = std::clamp<int64_t>(base + 1, 0, low - 1);
        u.sums[first] += 1 - fraction;
        u.sums[second] += fraction;
        if (first == second) {
            u.diagonal[first] += 1;
        } else {
            u.diagonal[first] += (1 - fraction) * (1 - fraction);
            u.diagonal[second] += fraction * fraction;
            u.neighbour[first] += fraction * (1 - fraction);
        }
    }
    return u;
}

}  // namespace upwell
