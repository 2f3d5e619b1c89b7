// Taps one ratio apart, as taps at whole pixels: a tap between pixels is bilinear, so its weight is shared by those
// around it.
#pragma once

#include <vector>

#include <ATen/core/Tensor.h>

namespace upwell::bridge::pcdc {

// Of an operator called by hand: groups of D channels and L outputs, offsets of the taps. Throws.
void check_convolution(const char *op, int64_t groups, const c10::SymInt &D, const c10::SymInt &L,
                       at::IntArrayRef tap_rows, at::IntArrayRef tap_columns);

struct Spread {
    at::Tensor weight;                   // L,D/G,taps
    std::vector<int64_t> rows, columns;  // offsets of the taps, in pixels
};

// weight L,D/G,K,K, differentiable; ratio: rows' high and low, columns' high and low: taps are high / low pixels apart.
Spread spread_taps(const at::Tensor &weight, at::IntArrayRef ratio);

}  // namespace upwell::bridge::pcdc
