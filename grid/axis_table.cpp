// Tables of an axis.
#include "axis_table.h"

#include <algorithm>
#include <tuple>

#include "cache.h"

namespace upwell {
namespace {

struct Range {
    int64_t first, last;
};

// Where no tap is outside, the cell that the taps are centred on: the pixel's own, moved away from an edge. In a map of
// fewer cells than a side has taps it is one from which the square covers all of them, and lies among them.
int64_t moved_inside(const Taps &taps, int64_t base, int64_t low) {
    const int64_t radius = taps.radius();
    return low < taps.kernel ? low / 2 : std::clamp(base, radius, low - 1 - radius);
}

// Offsets, in taps, of the neighbours that count. The pixel itself always does.
Range valid_offsets(const AxisRule &rule, int64_t p, int64_t base, int64_t low, int64_t high) {
    if (rule.taps.border == Border::Inside) {
        return {-base, low - 1 - base};
    }
    if (rule.taps.border != Border::Masked) {
        return {-rule.taps.radius(), rule.taps.radius()};
    }
    if (rule.taps.grid == Grid::LowRes && rule.taps.sampling.between_cells) {
        // -1/2 <= u(p) + offset <= low - 1/2: in the area of the cells.
        return {-floor_divide((2 * p + 1) * low, 2 * high), low - ceil_divide((2 * p + 1) * low, 2 * high)};
    }
    if (rule.taps.grid == Grid::LowRes) {
        return {-base, low - 1 - base};
    }
    if (rule.mask_ratio > 0) {
        return {-(p / rule.mask_ratio), (high - 1 - p) / rule.mask_ratio};
    }
    return {ceil_divide(-p * low, high), floor_divide((high - 1 - p) * low, high)};
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
    const Sampling &sampling = rule.taps.sampling;
    const int64_t reach = rule.taps.radius();
    table.margin = rule.taps.kernel + 2;
    table.taps.resize(3 * high);
    table.fraction.resize(high);
    for (int64_t p = 0; p < high; p++) {
        auto [base, fraction] = rule.scale > 0 ? position_by_scale(sampling, p, low, rule.scale, rule.in_float64)
                                               : position(sampling, p, low, high);
        if (rule.taps.border == Border::Inside) {
            base = moved_inside(rule.taps, base, low);
        }
        const Range valid = valid_offsets(rule, p, base, low, high);
        table.taps[p] = static_cast<int32_t>(base);
        table.taps[high + p] = static_cast<int32_t>(reach + std::max(valid.first, -reach));
        table.taps[2 * high + p] = static_cast<int32_t>(reach + std::min(valid.last, reach));
        table.fraction[p] = fraction;
    }
    table.fraction32.assign(table.fraction.begin(), table.fraction.end());
    fill_begin(table, low, high);
    return table;
}

std::shared_ptr<const AxisTable> axis_table(const AxisRule &rule, int64_t low, int64_t high) {
    using Key = std::tuple<AxisRule, int64_t, int64_t>;
    static Cache<Key, AxisTable> &kept = *new Cache<Key, AxisTable>(64);  // threads may outlive the end of main()
    return kept.get({rule, low, high}, [&] { return make_axis_table(rule, low, high); });
}

}  // namespace upwell
