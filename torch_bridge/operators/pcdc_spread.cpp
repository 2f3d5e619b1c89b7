#include "pcdc_spread.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/stack.h>

#include "grid/spread.h"

namespace upwell::bridge::pcdc {
namespace {

// Along a dimension, sums of `from` elements, each times its part(i, o): `to` of them. Sums and products with numbers
// only: a matrix made from data in here could be neither traced nor captured in a CUDA graph.
template<class Part> at::Tensor mix(const at::Tensor &x, int64_t dimension, int64_t from, int64_t to, Part part) {
    std::vector<at::Tensor> mixed;
    for (int64_t o = 0; o < to; o++) {
        at::Tensor sum;
        for (int64_t i = 0; i < from; i++) {
            if (const double factor = part(i, o); factor != 0) {
                const at::Tensor term = x.select(dimension, i) * factor;
                sum = sum.defined() ? sum + term : term;
            }
        }
        mixed.push_back(sum);
    }
    return at::stack(mixed, dimension);
}

// The taps along a dimension of weight, each shared by the offsets around it.
at::Tensor share(const at::Tensor &weight, const AxisSpread &axis, int64_t dimension) {
    const int64_t offsets = axis.count();
    return axis.whole ? weight : mix(weight, dimension, weight.size(dimension), offsets, [&](int64_t tap, int64_t o) {
        return axis.share(tap, o);
    });
}

// Its transpose.
at::Tensor gather(const at::Tensor &d_shared, const AxisSpread &axis, int64_t taps, int64_t dimension) {
    const int64_t offsets = axis.count();
    return axis.whole ? d_shared : mix(d_shared, dimension, offsets, taps, [&](int64_t o, int64_t tap) {
        return axis.share(tap, o);
    });
}

}  // namespace

void check_convolution(const char *op, int64_t groups, const c10::SymInt &D, const c10::SymInt &L) {
    TORCH_CHECK(groups >= 1, op, ": groups should be at least 1 but is ", groups);
    TORCH_SYM_CHECK(D.sym_ge(1), op, ": query should have at least one channel but has none");
    TORCH_SYM_CHECK((D % groups).sym_eq(0), op, ": groups should divide the ", D, " channels but is ", groups);
    TORCH_SYM_CHECK((L % groups).sym_eq(0), op, ": groups should divide the ", L, " outputs but is ", groups);
}

namespace {

std::pair<AxisSpread, AxisSpread> spread_axes(int64_t taps, at::IntArrayRef ratio) {
    TORCH_CHECK(ratio.size() == 4,
                "pcdc: ratio should be 4 integers, rows' high and low, columns' high and low, but is ", ratio);
    for (const int64_t part : ratio) {
        TORCH_CHECK(part >= 1, "pcdc: ratio should be positive but is ", ratio);
    }
    return {spread_axis(taps, ratio[0], ratio[1]), spread_axis(taps, ratio[2], ratio[3])};
}

}  // namespace

Spread spread_taps(const at::Tensor &weight, at::IntArrayRef ratio) {
    const auto [rows, columns] = spread_axes(weight.size(-1), ratio);
    Spread spread;
    for (const int64_t row : rows.offsets) {
        for (const int64_t column : columns.offsets) {
            spread.rows.push_back(row);
            spread.columns.push_back(column);
        }
    }
    spread.weight = share(share(weight, columns, -1), rows, -2).flatten(-2);
    return spread;
}

at::Tensor gather_taps(const at::Tensor &d_spread, int64_t taps, at::IntArrayRef ratio) {
    const auto [rows, columns] = spread_axes(taps, ratio);
    return gather(gather(d_spread.unflatten(-1, {rows.count(), columns.count()}), rows, taps, -2), columns, taps, -1);
}

}  // namespace upwell::bridge::pcdc
