// AnyUp (arXiv 2510.12764): one upsampler for features of any encoder, cross-attention of an image and low-res
// features.
#pragma once

#include <optional>

#include <torch/nn/cloneable.h>
#include <torch/nn/modules/container/sequential.h>
#include <torch/nn/pimpl.h>

#include "attention.h"
#include "rope.h"

namespace upwell::nn {

struct AnyUpOptions {
    TORCH_ARG(int64_t, input_dim) = 3;        // channels of the image
    TORCH_ARG(int64_t, qk_dim) = 128;         // D of queries and keys, a multiple of 8 and of num_heads
    TORCH_ARG(int64_t, kernel_size) = 1;      // of the first convolution of the image, odd
    TORCH_ARG(int64_t, kernel_size_lfu) = 5;  // of the filters that features pass first, odd
    // A pixel sees the cells that touch a square of this many times the map to each side of it; 0 or less, 1 and more:
    // all.
    TORCH_ARG(double, window_ratio) = 0.1;
    TORCH_ARG(int64_t, num_heads) = 4;                   // whose weights are averaged
    TORCH_ARG(bool, init_gaussian_derivatives) = false;  // as filters, instead of random ones
    TORCH_ARG(std::optional<int64_t>, lfu_dim);          // number of filters, a multiple of 8; none: qk_dim
};

// The module of wimmerth/anyup.
struct AnyUpImpl : torch::nn::Cloneable<AnyUpImpl> {
    explicit AnyUpImpl(AnyUpOptions options = {});
    void reset() override;

    // image N,input_dim,Hi,Wi, features N,C,h,w, any C, h and w at least 2 -> N,C,*output_size, of the image's size if
    // none. Throws c10::Error on bad shapes.
    at::Tensor forward(const at::Tensor &image, const at::Tensor &features,
                       at::OptionalIntArrayRef output_size = std::nullopt);

    AnyUpOptions options;
    torch::nn::Sequential image_encoder = nullptr, key_encoder = nullptr, query_encoder = nullptr;
    torch::nn::Sequential key_features_encoder = nullptr, aggregation = nullptr;
    QueriesAndKeys cross_decode = nullptr;
    LearnedRoPE rope = nullptr;
};
TORCH_MODULE(AnyUp);

}  // namespace upwell::nn
