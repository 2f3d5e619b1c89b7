// Taps at whole pixels.
#include "spread.h"

#include <algorithm>

#include "position.h"

namespace upwell {

AxisSpread spread_axis(int64_t taps, int64_t high, int64_t low) {
    AxisSpread axis;
    std::vector<int64_t> floors;
    std::vector<double> fractions;
    for (int64_t i = -(taps / 2); i <= taps / 2; i++) {
        const int64_t floor = floor_divide(i * high, low), rest = i * high - floor * low;
        floors.push_back(floor);
        fractions.push_back(static_cast<double>(rest) / static_cast<double>(low));
        axis.offsets.push_back(floor);
        if (rest > 0) {
            axis.offsets.push_back(floor + 1);
            axis.whole = false;
        }
    }
    std::sort(axis.offsets.begin(), axis.offsets.end());
    axis.offsets.erase(std::unique(axis.offsets.begin(), axis.offsets.end()), axis.offsets.end());
    for (int64_t i = 0; i < taps; i++) {
        for (const int64_t offset : axis.offsets) {
            axis.shares.push_back(offset == floors[i] ? 1 - fractions[i] : offset == floors[i] + 1 ? fractions[i] : 0);
        }
    }
    return axis;
}

}  // namespace upwell
