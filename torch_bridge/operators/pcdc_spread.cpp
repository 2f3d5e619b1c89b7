#include "pcdc_spread.h"

#include <algorithm>

#include <ATen/ops/matmul.h>
#include <ATen/ops/tensor.h>

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

at::Tensor matrix(const AxisSpread &axis, int64_t taps, const at::Tensor &like) {
    return at::tensor(axis.shares, like.options().dtype(at::kDouble).device(at::kCPU))
        .view({taps, -1})
        .to(like.options());
}

}  // namespace

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
        shared = at::matmul(shared, matrix(columns, taps, weight));
    }
    if (!rows.whole) {
        shared = at::matmul(matrix(rows, taps, weight).t(), shared);
    }
    spread.weight = shared.flatten(2);
    return spread;
}

}  // namespace upwell::bridge::pcdc
