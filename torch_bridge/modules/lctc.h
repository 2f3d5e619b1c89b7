// LCTC: large transposed convolutions with a small one beside them (arXiv 2311.17524).
#pragma once

#include <optional>

#include <torch/nn/cloneable.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/pimpl.h>

namespace upwell::nn {

struct LCTCOptions {
    LCTCOptions(int64_t in_channels, int64_t out_channels) : in_channels_(in_channels), out_channels_(out_channels) {}

    TORCH_ARG(int64_t, in_channels);
    TORCH_ARG(int64_t, out_channels);
    TORCH_ARG(int64_t, kernel_size) = 7;
    TORCH_ARG(std::optional<int64_t>, small_kernel) = 3;  // nullopt: none
    TORCH_ARG(int64_t, stride) = 2;
    TORCH_ARG(int64_t, groups) = 1;
    TORCH_ARG(bool, bias) = true;
};

// large(x) + small(x), computed as one convolution.
struct LCTCImpl : torch::nn::Cloneable<LCTCImpl> {
    explicit LCTCImpl(LCTCOptions options);
    void reset() override;

    // x N,C,h,w -> N,D,r h,r w.
    at::Tensor forward(const at::Tensor &x);

    LCTCOptions options;
    torch::nn::ConvTranspose2d large = nullptr, small = nullptr;

private:
    bool is_plain(const torch::nn::ConvTranspose2dImpl &branch, int64_t kernel) const;
};
TORCH_MODULE(LCTC);

}  // namespace upwell::nn
