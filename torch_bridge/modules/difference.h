// The paired central difference of whole maps, in torch's operations: for blocks with a layer that has to be called.
#pragma once

#include <ATen/core/Tensor.h>

#include "pcdc.h"

namespace upwell::nn {

// conv(k, weight) - conv1x1(q, sum of weight) + bias: q N,D,H,W -> N,L,H,W.
struct Difference {
    at::Tensor weight;  // L,D/groups,K,K
    at::Tensor bias;    // 1,L,1,1
    int64_t groups;

    // k N,D,H,W, taps rows and columns apart, bilinear between pixels.
    at::Tensor of_map(const at::Tensor &k, const at::Tensor &q, Ratio rows, Ratio columns) const;

    // The bilinear upsampling of k N,D,h,w, taps one pixel of k apart: the upsampling of k's convolution, which reaches
    // one pixel beyond the border.
    at::Tensor of_low_res(const at::Tensor &k, const at::Tensor &q) const;

private:
    at::Tensor of_query(const at::Tensor &q) const;
};

}  // namespace upwell::nn
