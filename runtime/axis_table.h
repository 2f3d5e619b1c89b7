// One axis of a problem of any size, tabulated for the general kernels: in exact integer arithmetic, or for positions
// by a real scale in torch's arithmetic.
#pragma once

#include "operators.h"

namespace upwell {

// Which neighbours of a pixel count.
enum class Validity {
    All,
    HighRes,  // those inside the high-res image
    LowRes,   // those inside the low-res map
};

struct AxisRule {
    Grid grid;
    Validity validity;
    int64_t kernel;
    int64_t mask_ratio;                // HighRes: pixels between taps; 0: high / low
    double scale = 0;                  // pixels per cell; 0: high / low
    Dtype positions = Dtype::Float64;  // of centres by scale: found in this, Float32 or Float64
};

struct AxisTable {
    std::vector<int32_t> taps;     // [3][high]: base, first valid tap, last valid tap
    std::vector<double> fraction;  // [high]: position - base
    std::vector<int32_t>
        begin;  // begin[m + margin]: first pixel whose base is at least m, m in [-margin, low + margin]
    int64_t margin;
    int32_t cell;  // most pixels with one base, at least 1
};

AxisTable make_axis_table(const AxisRule &rule, int64_t low, int64_t high);

}  // namespace upwell
