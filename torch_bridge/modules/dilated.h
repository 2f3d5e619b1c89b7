// NAF's published window at ratios that are no integers: neighbourhood attention dilated by floor(H/h) on keys and
// values upsampled to the query's size, without upsampling them.
#pragma once

#include <ATen/core/Tensor.h>

namespace upwell::nn {

// query N,heads d,H,W, key N,heads d,h,w, value N,C,h,w -> N,C,H,W. A pixel takes K x K pixels of the upsampled map,
// and may meet a cell more than once: met n times, its score is larger by log(n). H >= h, kernel floor(H/h) <= H, so
// for W.
at::Tensor dilated_attention(const at::Tensor &query, const at::Tensor &key, const at::Tensor &value, int64_t heads,
                             int64_t kernel);

}  // namespace upwell::nn
