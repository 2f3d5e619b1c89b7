// JAFAR (arXiv 2506.11136): cross-attention of an image's queries and keys that the features modulate.
#pragma once

#include <torch/nn/cloneable.h>
#include <torch/nn/modules/container/sequential.h>
#include <torch/nn/modules/normalization.h>
#include <torch/nn/pimpl.h>

#include "attention.h"
#include "encoder.h"
#include "rope.h"

namespace upwell::nn {

// The normalised x times one 1x1 convolution of the features, plus another.
struct ModulationImpl : torch::nn::Cloneable<ModulationImpl> {
    explicit ModulationImpl(int64_t channels);
    void reset() override;
    at::Tensor forward(const at::Tensor &x, const at::Tensor &features);  // N,channels,h,w

    int64_t channels;
    ReflectConv2d gamma = nullptr, beta = nullptr;
    torch::nn::GroupNorm norm = nullptr;
};
TORCH_MODULE(Modulation);

struct JAFAROptions {
    TORCH_ARG(int64_t, input_dim) = 3;    // channels of the image
    TORCH_ARG(int64_t, qk_dim) = 128;     // D of queries and keys, a multiple of 8 and of num_heads
    TORCH_ARG(int64_t, v_dim) = 384;      // channels of the features
    TORCH_ARG(int64_t, kernel_size) = 1;  // of the first convolution of the image, odd
    TORCH_ARG(int64_t, num_heads) = 4;    // whose weights are averaged
};

// The module of PaulCouairon/JAFAR. Every pixel is a mean of all cells of the features.
struct JAFARImpl : torch::nn::Cloneable<JAFARImpl> {
    explicit JAFARImpl(JAFAROptions options = {});
    void reset() override;

    // image N,input_dim,Hi,Wi, features N,v_dim,h,w -> N,v_dim,*output_size, of the image's size if none. Throws
    // c10::Error on bad shapes.
    at::Tensor forward(const at::Tensor &image, const at::Tensor &features,
                       at::OptionalIntArrayRef output_size = std::nullopt);

    JAFAROptions options;
    torch::nn::Sequential image_encoder = nullptr, key_encoder = nullptr, query_encoder = nullptr;
    torch::nn::Sequential key_features_encoder = nullptr;
    torch::nn::GroupNorm norm = nullptr;
    QueriesAndKeys cross_decode = nullptr;
    Modulation sft_key = nullptr;
    LearnedRoPE rope = nullptr;
};
TORCH_MODULE(JAFAR);

}  // namespace upwell::nn
