// CARAFE: weights encoded from the low-res features, then content-aware reassembly. mmcv's CARAFEPack.
#pragma once

#include <string>

#include <torch/nn/cloneable.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/pimpl.h>

namespace upwell::nn {

struct CARAFEOptions {
    CARAFEOptions(int64_t channels, int64_t scale_factor) : channels_(channels), scale_factor_(scale_factor) {}

    TORCH_ARG(int64_t, channels);
    TORCH_ARG(int64_t, scale_factor);
    TORCH_ARG(int64_t, up_kernel) = 5;
    TORCH_ARG(int64_t, up_group) = 1;
    TORCH_ARG(int64_t, encoder_kernel) = 3;
    TORCH_ARG(int64_t, encoder_dilation) = 1;
    TORCH_ARG(int64_t, compressed_channels) = 64;
    TORCH_ARG(std::string, border) = "zero";  // or "mask": taps outside leave the softmax
};

struct CARAFEImpl : torch::nn::Cloneable<CARAFEImpl> {
    explicit CARAFEImpl(CARAFEOptions options);
    void reset() override;

    // x N,C,h,w -> N,C,r h,r w.
    at::Tensor forward(const at::Tensor &x);

    CARAFEOptions options;
    torch::nn::Conv2d channel_compressor = nullptr, content_encoder = nullptr;
};
TORCH_MODULE(CARAFE);

}  // namespace upwell::nn
