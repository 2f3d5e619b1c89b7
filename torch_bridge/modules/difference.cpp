// The paired central difference in torch's operations.
#include "difference.h"

#include <array>
#include <tuple>
#include <vector>

#include <ATen/ops/conv2d.h>
#include <ATen/ops/lerp.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/tensor.h>

#include "../pad.h"
#include "grid/reads.h"
#include "grid/spread.h"

namespace upwell::nn {
namespace {

using at::Tensor;

// Taps a ratio apart along an axis, as taps at whole pixels and the step between those.
std::tuple<Tensor, int64_t> spread(const Tensor &weight, int64_t axis, Ratio ratio) {
    if (ratio.high % ratio.low == 0) {
        return {weight, ratio.high / ratio.low};
    }
    const int64_t taps = weight.size(axis);
    const AxisSpread spread = spread_axis(taps, ratio.high, ratio.low);
    const int64_t first = spread.offsets.front(), pixels = spread.offsets.back() - first + 1;
    std::vector<double> shares(taps * pixels);
    for (int64_t tap = 0; tap < taps; tap++) {
        for (int64_t o = 0; o < spread.count(); o++) {
            shares[tap * pixels + spread.offsets[o] - first] = spread.share(tap, o);
        }
    }
    const Tensor matrix = at::tensor(shares, weight.options()).view({taps, pixels});
    return {at::matmul(weight.movedim(axis, -1), matrix).movedim(-1, axis), 1};
}

// The pixels -1 .. low of a map along an axis -> its bilinear upsampling at 0 .. high - 1.
Tensor upsample_inside(const Tensor &x, int64_t axis, int64_t low, int64_t high) {
    const Reads reads = read_bilinear_bordered(low, high);
    const Tensor lower = at::tensor(reads.lower, x.options().dtype(at::kInt));
    const Tensor fraction = at::tensor(reads.fraction, x.options());
    return at::lerp(x.index_select(axis, lower), x.index_select(axis, lower + 1),
                    axis == 2 ? fraction.unsqueeze(1) : fraction);
}

}  // namespace

Tensor Difference::of_map(const Tensor &k, const Tensor &q, Ratio rows, Ratio columns) const {
    const auto [in_rows, row_step] = spread(weight, 2, rows);
    const auto [taps, column_step] = spread(in_rows, 3, columns);
    const Tensor padded = bridge::replicate_pad(k, taps.size(2) / 2 * row_step, taps.size(3) / 2 * column_step);
    const std::array<int64_t, 2> dilation{row_step, column_step};
    return at::conv2d(padded, taps, {}, 1, at::IntArrayRef{0}, dilation, groups) - of_query(q) + bias;
}

Tensor Difference::of_low_res(const Tensor &k, const Tensor &q) const {
    const int64_t around = weight.size(2) / 2 + 1;
    Tensor of_key = at::conv2d(bridge::replicate_pad(k, around, around), weight, {}, 1, at::IntArrayRef{0}, 1, groups);
    for (const int64_t axis : {2, 3}) {
        of_key = upsample_inside(of_key, axis, k.size(axis), q.size(axis));
    }
    return of_key - of_query(q) + bias;
}

Tensor Difference::of_query(const Tensor &q) const {
    return at::conv2d(q, weight.sum({2, 3}, true), {}, 1, at::IntArrayRef{0}, 1, groups);
}

}  // namespace upwell::nn
