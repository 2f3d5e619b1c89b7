// Taps one ratio apart, as taps at whole pixels: a tap between pixels is bilinear, so its weight is shared by those
// around it.
#pragma once

#include <vector>

#include <ATen/core/Tensor.h>

namespace upwell::bridge::pcdc {

// Of an operator called by hand: groups of D channels and L outputs. Throws.
void check_convolution(const char *op, int64_t groups, const c10::SymInt &D, const c10::SymInt &L);

struct Spread {
    at::Tensor weight;                   // ...,taps
    std::vector<int64_t> rows, columns;  // offsets of the taps, in pixels
};

// weight ...,K,K, differentiable; ratio: rows' high and low, columns' high and low: taps are high / low pixels apart.
Spread spread_taps(const at::Tensor &weight, at::IntArrayRef ratio);

// The gradient ...,K,K (K = taps) of weight, of that of the spread taps ...,taps.
at::Tensor gather_taps(const at::Tensor &d_spread, int64_t taps, at::IntArrayRef ratio);

}  // namespace upwell::bridge::pcdc
