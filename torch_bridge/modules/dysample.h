// DySample (ICCV 2023, arXiv 2308.15085): every high-res pixel samples the low-res map where a learned offset says.
#pragma once

#include <string>

#include <torch/nn/cloneable.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/pimpl.h>

namespace upwell::nn {

struct DySampleOptions {
    explicit DySampleOptions(int64_t in_channels) : in_channels_(in_channels) {}

    TORCH_ARG(int64_t, in_channels);
    TORCH_ARG(int64_t, scale) = 2;  // r
    // What makes offsets: "lp" a 1x1 convolution of x, whose channels become the pixels of a cell; "pl" one of the pixels
    // that x's channels become, which r^2 has to divide.
    TORCH_ARG(std::string, style) = "lp";
    TORCH_ARG(int64_t, groups) = 4;      // of channels, each with offsets of its own
    TORCH_ARG(bool, dyscope) = false;  // half a sigmoid of a 1x1 convolution instead of a quarter times the offsets
};

// The module of tiny-smart/dysample. Positions are float32 (float64 for float64) whatever the dtype.
struct DySampleImpl : torch::nn::Cloneable<DySampleImpl> {
    explicit DySampleImpl(DySampleOptions options);
    void reset() override;

    // x N,in_channels,h,w -> N,in_channels,r h,r w. Throws c10::Error on bad shapes.
    at::Tensor forward(const at::Tensor &x);

    DySampleOptions options;
    torch::nn::Conv2d offset = nullptr, scope = nullptr;
    at::Tensor init_pos;  // 1,2*groups*r*r,1,1: where the pixels of a cell lie, from its centre
};
TORCH_MODULE(DySample);

}  // namespace upwell::nn
