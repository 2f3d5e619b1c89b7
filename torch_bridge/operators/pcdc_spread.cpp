#include "pcdc_spread.h"

#include <algorithm>

#include <ATen/TensorOperators.h>
#include <ATen/ops/stack.h>

namespace upwell::bridge::pcdc {
namespace {

// An axis: whole offsets, and the share of each tap at each of them (taps x offsets, row-major).
struct AxisSpread {
    std::vector<int64_t> offsets;
    std::vector<double> shares;
    bool whole = true;
};

AxisSpread spread_axis(int64_t taps, int64_t high, int64_t low) {
    TORCH_CHECK(high >= 1 && low >= 1, "pcdc: ratio should be positive but is ", high, "/", low);
    AxisSpread axis;
    std::vector<double> fractions;
    std::vector<int64_t> floors;
    for (int64_t i = -(taps / 2); i <= taps / 2; i++) {
        const int64_t remainder = (i * high % low + low) % low;
        floors.push_back((i * high - remainder) / low);
        fractions.push_back(static_cast<double>(remainder) / static_cast<double>(low));
        axis.offsets.push_back(floors.back());
        if (remainder) {
            axis.offsets.push_back(floors.back() + 1);
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

// The taps along a dimension of weight, each shared by the offsets around it. Sums and products with numbers only:
// torch traces them, which a matrix made from data in here would not survive.
at::Tensor share(const at::Tensor &weight, const AxisSpread &axis, int64_t dimension) {
    const int64_t taps = weight.size(dimension);
    const size_t offsets = axis.offsets.size();
    std::vector<at::Tensor> shared;
    for (size_t o = 0; o < offsets; o++) {
        at::Tensor sum;
        for (int64_t i = 0; i < taps; i++) {
            if (const double part = axis.shares[i * offsets + o]; part != 0) {
                const at::Tensor tap = weight.select(dimension, i) * part;
                sum = sum.defined() ? sum + tap : tap;
            }
        }
        shared.push_back(sum);
    }
    return at::stack(shared, dimension);
}

}  // namespace

void check_convolution(const char *op, int64_t groups, const c10::SymInt &D, const c10::SymInt &L,
                       at::IntArrayRef tap_rows, at::IntArrayRef tap_columns) {
    TORCH_CHECK(groups >= 1, op, ": groups should be at least 1 but is ", groups);
    TORCH_SYM_CHECK(D.sym_ge(1), op, ": query should have at least one channel but has none");
    TORCH_SYM_CHECK((D % groups).sym_eq(0), op, ": groups should divide the ", D, " channels but is ", groups);
    TORCH_SYM_CHECK((L % groups).sym_eq(0), op, ": groups should divide the ", L, " outputs but is ", groups);
    TORCH_CHECK(tap_rows.size() == tap_columns.size() && !tap_rows.empty(), op,
                ": tap_rows and tap_columns should have one offset a tap but have ", tap_rows.size(), " and ",
                tap_columns.size());
}

Spread spread_taps(const at::Tensor &weight, at::IntArrayRef ratio) {
    TORCH_CHECK(ratio.size() == 4,
                "pcdc: ratio should be 4 integers, rows' high and low, columns' high and low, but is ", ratio);
    const int64_t taps = weight.size(2);
    const AxisSpread rows = spread_axis(taps, ratio[0], ratio[1]), columns = spread_axis(taps, ratio[2], ratio[3]);
    Spread spread;
    for (const int64_t row : rows.offsets) {
        for (const int64_t column : columns.offsets) {
            spread.rows.push_back(row);
            spread.columns.push_back(column);
        }
    }
    at::Tensor shared = weight;
    if (!columns.whole) {
        shared = share(shared, columns, 3);
    }
    if (!rows.whole) {
        shared = share(shared, rows, 2);
    }
    spread.weight = shared.flatten(2);
    return spread;
}

}  // namespace upwell::bridge::pcdc
