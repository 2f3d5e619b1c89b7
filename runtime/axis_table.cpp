// One axis of a problem of any size, tabulated for the general kernels in exact integer arithmetic.
#include "axis_table.h"

#include <algorithm>

namespace upwell {
namespace {

// a / b for b > 0, rounded down.
int64_t floor_divide(int64_t a, int64_t b) {
    return a / b - (a % b < 0);
}
int64_t ceil_divide(int64_t a, int64_t b) {
    return -floor_divide(-a, b);
}

// Position of pixel p among the low-res cells, as a fraction: numerator / denominator.
struct Position {
    int64_t numerator, denominator;
};

Position position(Grid grid, int64_t p, int64_t low, int64_t high) {
    return grid == Grid::Centre ? Position{(2 * p + 1) * low - high, 2 * high} : Position{p * low, high};
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
        const Position at = position(rule.grid, p, low, high);
        const int64_t base = floor_divide(at.numerator, at.denominator);
        const Range valid = valid_offsets(rule, p, base, low, high);
        table.taps[p] = static_cast<int32_t>(base);
        table.taps[high + p] = static_cast<int32_t>(reach + std::max(valid.first, -reach));
        table.taps[2 * high + p] = static_cast<int32_t>(reach + std::min(valid.last, reach));
        if (rule.grid == Grid::Centre) {
            table.fraction[p] = static_cast<double>(at.numerator - base * at.denominator) / at.denominator;
        }
    }
    fill_begin(table, low, high);
    return table;
}

}  // namespace upwell
