// Encoders of images and features that keep the size of a map: what AnyUp, JAFAR and NAF are built of.
#pragma once

#include <torch/nn/cloneable.h>
#include <torch/nn/modules/container/sequential.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/normalization.h>
#include <torch/nn/pimpl.h>

namespace upwell::nn {

constexpr int64_t norm_groups = 8;  // of every group norm, as published

// A convolution with an odd kernel and a reflected border: parameters and initial values as torch::nn::Conv2d, and the
// output as large as the input.
struct ReflectConv2dImpl : torch::nn::Cloneable<ReflectConv2dImpl> {
    ReflectConv2dImpl(int64_t in_channels, int64_t channels, int64_t kernel_size, bool bias);
    void reset() override;
    at::Tensor forward(const at::Tensor &x);

    int64_t in_channels, channels, kernel_size;
    bool has_bias;
    at::Tensor weight, bias;
};
TORCH_MODULE(ReflectConv2d);

// GroupNorm of a map in any memory layout: torch's (2.11) fails on a CPU in the backward pass of one in channels_last
// that needs no gradient itself.
at::Tensor normalise(torch::nn::GroupNorm &norm, const at::Tensor &x);

struct BlockOptions {
    BlockOptions(int64_t in_channels, int64_t channels) : in_channels_(in_channels), channels_(channels) {}

    TORCH_ARG(int64_t, in_channels);
    TORCH_ARG(int64_t, channels);
    TORCH_ARG(int64_t, kernel_size) = 1;
    TORCH_ARG(bool, bias) = false;
    TORCH_ARG(bool, residual) = false;  // x is added
    TORCH_ARG(bool, numbered) = false;  // layers are named 0, 2, 3 and 5, not norm1, conv1, norm2 and conv2
};

// conv(SiLU(GN(conv(SiLU(GN(x)))))).
struct BlockImpl : torch::nn::Cloneable<BlockImpl> {
    explicit BlockImpl(BlockOptions options);
    void reset() override;
    at::Tensor forward(const at::Tensor &x);

    BlockOptions options;
    torch::nn::GroupNorm norm1 = nullptr, norm2 = nullptr;
    ReflectConv2d conv1 = nullptr, conv2 = nullptr;
};
TORCH_MODULE(Block);

struct EncoderOptions {
    EncoderOptions(int64_t in_channels, int64_t channels) : in_channels_(in_channels), channels_(channels) {}

    TORCH_ARG(int64_t, in_channels);
    TORCH_ARG(int64_t, channels);
    TORCH_ARG(int64_t, kernel_size) = 1;
    TORCH_ARG(int64_t, block_kernel) = 1;
    TORCH_ARG(int64_t, layers) = 2;
    TORCH_ARG(bool, bias) = false;
    TORCH_ARG(bool, residual) = true;
};

// A convolution and blocks, under the names of JAFAR and NAF: N,in_channels,H,W -> N,channels,H,W.
torch::nn::Sequential encoder(const EncoderOptions &options);

// x N,C,n,m -> N,C,*size; row i is the mean of rows floor(i n/H) .. ceil((i + 1) n/H) - 1. Up or down.
at::Tensor pool(const at::Tensor &x, at::IntArrayRef size);

}  // namespace upwell::nn
