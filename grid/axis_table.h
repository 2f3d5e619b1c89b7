// One axis of a problem of any size, tabulated for the general kernels.
#pragma once

#include <memory>
#include <vector>

#include "position.h"

namespace upwell {

struct AxisRule {
    Taps taps;
    int64_t mask_ratio = 0;   // high-res taps of a masked border: pixels between them; 0: high / low
    double scale = 0;         // pixels per cell; 0: high / low
    bool in_float64 = false;  // positions by scale

    auto operator<=>(const AxisRule &) const = default;
};

struct AxisTable {
    std::vector<int32_t> taps;     // [3][high]: base, first valid tap, last valid tap
    std::vector<double> fraction;  // [high]: position - base
    std::vector<float> fraction32;
    // begin[m + margin]: first pixel whose base is at least m, m in [-margin, low + margin]
    std::vector<int32_t> begin;
    int64_t margin;
    int32_t cell;  // most pixels with one base, at least 1
};

AxisTable make_axis_table(const AxisRule &rule, int64_t low, int64_t high);

// The same, kept: the last few that were asked for are made once.
std::shared_ptr<const AxisTable> axis_table(const AxisRule &rule, int64_t low, int64_t high);

}  // namespace upwell
