// PixelShuffle (arXiv 1609.05158): the pixels of a cell are channels of a low-res convolution.
#pragma once

#include <optional>

#include <torch/nn/cloneable.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/pimpl.h>

namespace upwell::nn {

struct PixelShuffleOptions {
    PixelShuffleOptions(int64_t channels, int64_t scale_factor)
        : channels_(channels), scale_factor_(scale_factor), out_channels_(channels) {}

    TORCH_ARG(int64_t, channels);
    TORCH_ARG(int64_t, scale_factor);
    TORCH_ARG(int64_t, kernel_size) = 3;  // of the convolution, odd
    TORCH_ARG(int64_t, out_channels);     // as many as channels
};

// A convolution to r^2 as many channels, which then become the pixels of a cell. Its name, 0, is that of the first
// layer of a Sequential.
struct PixelShuffleImpl : torch::nn::Cloneable<PixelShuffleImpl> {
    explicit PixelShuffleImpl(PixelShuffleOptions options);
    void reset() override;

    // x N,C,h,w -> N,out_channels,r h,r w.
    at::Tensor forward(const at::Tensor &x);

    PixelShuffleOptions options;
    torch::nn::Conv2d convolution = nullptr;
};
TORCH_MODULE(PixelShuffle);

// torch's, whose backward of an empty batch gives the wrong shape on a CPU (torch 2.11).
at::Tensor shuffle_pixels(const at::Tensor &x, int64_t scale);

}  // namespace upwell::nn
