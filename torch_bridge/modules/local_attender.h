// The local attender of UPLiFT (arXiv 2601.17950): every high-res pixel is a mean of a few cells around its own.
#pragma once

#include <torch/nn/cloneable.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/pimpl.h>

namespace upwell::nn {

struct LocalAttenderOptions {
    explicit LocalAttenderOptions(int64_t in_channels) : in_channels_(in_channels) {}

    TORCH_ARG(int64_t, in_channels);        // of the guide
    TORCH_ARG(int64_t, num_connected) = 5;  // cells that a pixel takes from: 5, 9, 13, 17 or 25
    TORCH_ARG(bool, conv_res) = true;  // the guide itself, its first num_connected channels, is added to the logits
};

// The module of mwalmer-umd/UPLiFT.
struct LocalAttenderImpl : torch::nn::Cloneable<LocalAttenderImpl> {
    explicit LocalAttenderImpl(LocalAttenderOptions options);
    void reset() override;

    // guide N,in_channels,H,W, value N,C,h,w, H,W multiples of h,w -> N,C,H,W. Throws c10::Error on bad shapes.
    at::Tensor forward(const at::Tensor &guide, const at::Tensor &value);

    LocalAttenderOptions options;
    torch::nn::Conv2d conv1 = nullptr;
};
TORCH_MODULE(LocalAttender);

}  // namespace upwell::nn
