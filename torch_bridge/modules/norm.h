// GroupNorm as ReSFU and SAPA use it: folded into the projection behind it.
#pragma once

#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/normalization.h>

namespace upwell::nn {

// 32 groups, or one per channel below 32 (published); otherwise the largest divisor of channels up to 32.
torch::nn::GroupNorm published_group_norm(int64_t channels);

// convolution(norm(input)), norm may be null; of a 1x1 convolution without the normalised map: the normalisation is
// affine once its statistics are known, so it goes into the weights, one set per sample. module: for messages.
at::Tensor project_normalised(const char *module, const torch::nn::Conv2d &convolution,
                              const torch::nn::GroupNorm &norm, const at::Tensor &input);

}  // namespace upwell::nn
