// AnyUp's first layer of features: it takes any number of channels and gives as many as it has filters.
#pragma once

#include <torch/nn/cloneable.h>
#include <torch/nn/pimpl.h>

namespace upwell::nn {

// Every channel filtered by every filter, and of that the mean over channels of the softmax over filters. With L
// filters and C channels, filter l of channel c is number c L + l of the responses. The published code takes the
// softmax over a and the mean over b of number a C + b: a channel's responses are not compared with each other, but
// with those of other channels. Checkpoints were trained so, and so it stays. kernel_size: odd. gaussian: start from
// derivatives of a Gaussian instead of random filters.
struct FilterBankImpl : torch::nn::Cloneable<FilterBankImpl> {
    FilterBankImpl(int64_t filters, int64_t kernel_size, bool gaussian);
    void reset() override;
    // x N,C,h,w -> N,L,h,w. Zeros around x; a response is divided by its filter's taps inside x.
    at::Tensor forward(const at::Tensor &x);

    int64_t filters, kernel_size;
    bool gaussian;
    at::Tensor basis;  // L,1,k,k
};
TORCH_MODULE(FilterBank);

}  // namespace upwell::nn
