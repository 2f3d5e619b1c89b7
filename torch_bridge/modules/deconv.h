// Deconvolution: a plain transposed convolution that upsamples by exactly its stride.
#pragma once

#include <algorithm>

#include <torch/nn/cloneable.h>
#include <torch/nn/pimpl.h>

namespace upwell::nn {

struct DeconvOptions {
    // stride: integer ratio r. Kernels have 3 x 3 elements, or r x r where that is larger.
    explicit DeconvOptions(int64_t in_channels, int64_t stride = 2)
        : in_channels_(in_channels), stride_(stride), out_channels_(in_channels),
          kernel_size_(std::max<int64_t>(3, stride)) {}

    TORCH_ARG(int64_t, in_channels);
    TORCH_ARG(int64_t, stride);
    TORCH_ARG(int64_t, out_channels);
    TORCH_ARG(int64_t, kernel_size);  // odd where r is 1
    TORCH_ARG(int64_t, groups) = 1;
    TORCH_ARG(bool, bias) = true;
};

// The kernel of a cell has its centre in that of the cell's r x r pixels, or, where K - r is odd, half a pixel above
// and left of it.
struct DeconvImpl : torch::nn::Cloneable<DeconvImpl> {
    explicit DeconvImpl(DeconvOptions options);
    void reset() override;

    // x N,C,h,w -> N,D,r h,r w.
    at::Tensor forward(const at::Tensor &x);

    DeconvOptions options;
    at::Tensor weight, bias;  // C,D/groups,K,K and D
};
TORCH_MODULE(Deconv);

}  // namespace upwell::nn
