// One axis of a problem of any size, tabulated for the general kernels.
#include "axis_table.h"

#include <algorithm>
#include <cmath>

namespace upwell {
namespace {

// a / b for b > 0, rounded down.
int64_t floor_divide(int64_t a, int64_t b) {
    return a / b - (a % b < 0);
}
int64_t ceil_divide(int64_t a, int64_t b) {
    return -floor_divide(-a, b);
}

// Where pixel p lies among the low-res cells: in this one, and how far on the way to the next.
struct Position {
    int64_t base;
    double fraction;
};

Position divided(int64_t numerator, int64_t denominator) {
    const int64_t base = floor_divide(numerator, denominator);
    return {base, static_cast<double>(numerator - base * denominator) / denominator};
}

// Never outside -1 .. low - 1, where the border repeats.
Position within(double position, int64_t low) {
    const double base = std::floor(position);
    if (!(base >= -1)) {
        return {-1, 0};
    }
    return base < low ? Position{static_cast<int64_t>(base), position - base} : Position{low - 1, 0};
}

// With the rounding of torch's CPU kernels, compiled with fused multiply-adds (ATen/native/UpSample.h).
template<class Real> Position scaled_centre(int64_t p, double scale, int64_t low) {
    const Real inverse = static_cast<Real>(1 / scale);
    return within(std::fma(inverse, static_cast<Real>(p) + Real(0.5), Real(-0.5)), low);
}

// A nearest neighbour is another one when its position is off by the last digit. Torch rounds to float32, whatever the
// maps are (nearest_idx in UpSample.h; only large contiguous maps of float64 it takes another way, forward).
Position scaled_cell(int64_t p, double scale, int64_t low) {
    return {within(static_cast<float>(1 / scale) * static_cast<float>(p), low).base, 0};
}

Position position(const AxisRule &rule, int64_t p, int64_t low, int64_t high) {
    if (rule.scale > 0) {
        return rule.grid == Grid::Cell            ? scaled_cell(p, rule.scale, low)
               : rule.positions == Dtype::Float64 ? scaled_centre<double>(p, rule.scale, low)
                                                  : scaled_centre<float>(p, rule.scale, low);
    }
    return rule.grid == Grid::Centre ? divided((2 * p + 1) * low - high, 2 * high) : divided(p * low, high);
}

struct Range {
    int64_t first, last;
};

// Offsets, in taps, of the neighbours that count. The pixel itself always does.
Range valid_offsets(const AxisRule &rule, int64_t p, int64_t base, int64_t low, int64_t high) {
    switch (rule.validity) {
    case Validity::HighRes:
        if (rule.mask_ratio > 0) {
            return {-(p / rule.mask_ratio), (high - 1 - p) / rule.mask_ratio};
        }
        return {ceil_divide(-p * low, high), floor_divide((high - 1 - p) * low, high)};
    case Validity::LowRes:
        return {-base, low - 1 - base};
    case Validity::All:
        break;
    }
    return {-rule.kernel, rule.kernel};
}

void fill_begin(AxisTable &table, int64_t low, int64_t high) {
    int64_t p = 0;
    table.begin.reserve(low + 2 * table.margin + 1);
    for (int64_t m = -table.margin; m <= low + table.margin; m++) {
        while (p < high && table.taps[p] < m) {
            p++;
        }
        table.begin.push_back(static_cast<int32_t>(p));
    }
    table.cell = 1;
    for (size_t i = 1; i < table.begin.size(); i++) {
        table.cell = std::max(table.cell, table.begin[i] - table.begin[i - 1]);
    }
}

}  // namespace

AxisTable make_axis_table(const AxisRule &rule, int64_t low, int64_t high) {
    AxisTable table;
    table.margin = rule.kernel + 2;
    table.taps.resize(3 * high);
    table.fraction.resize(high, 0.0);
    const int64_t reach = (rule.kernel - 1) / 2;
    for (int64_t p = 0; p < high; p++) {
        const auto [base, fraction] = position(rule, p, low, high);
        const Range valid = valid_offsets(rule, p, base, low, high);
        table.taps[p] = static_cast<int32_t>(base);
        table.taps[high + p] = static_cast<int32_t>(reach + std::max(valid.first, -reach));
        table.taps[2 * high + p] = static_cast<int32_t>(reach + std::min(valid.last, reach));
        if (rule.grid == Grid::Centre) {
            table.fraction[p] = fraction;
        }
    }
    fill_begin(table, low, high);
    return table;
}

}  // namespace upwell
