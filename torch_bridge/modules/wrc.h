// Weighted reverse convolution (arXiv 2605.17472): upsampling as an inverse problem.
#pragma once

#include <string>
#include <tuple>

#include <torch/nn/cloneable.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/pimpl.h>

namespace upwell::nn {

struct WRCOptions {
    WRCOptions(int64_t channels, int64_t kernel_size) : channels_(channels), kernel_size_(kernel_size) {}

    TORCH_ARG(int64_t, channels);
    TORCH_ARG(int64_t, kernel_size);
    TORCH_ARG(int64_t, scale) = 1;
    TORCH_ARG(int64_t, padding) = 2;                    // around x, cut off the output again
    TORCH_ARG(std::string, padding_mode) = "circular";  // or "constant" (zeros), "reflect", "replicate"
    TORCH_ARG(double, eps) = 1e-5;                      // least weight of the prior
    TORCH_ARG(std::string, solver) = "spectral";        // as published; or "exact": the minimiser
    TORCH_ARG(std::string, centre) = "image";           // of the spectral solver's kernel, as published; or "kernel"
    TORCH_ARG(double, tolerance) = 1e-4;                // of the exact solver
    TORCH_ARG(int64_t, max_iterations) = 100;
};

// Per channel the X that minimises ||W^(1/2) (S B X - x)||^2 + ||P^(1/2) (X - x0)||^2: B the depthwise kernel, S every
// scale-th pixel, x0 the bilinear upsampling of x, W and P learned maps of weights.
struct WRCImpl : torch::nn::Cloneable<WRCImpl> {
    explicit WRCImpl(WRCOptions options);
    void reset() override;

    // x N,C,h,w -> N,C,scale h,scale w.
    at::Tensor forward(const at::Tensor &x);

    WRCOptions options;
    at::Tensor weight, bias;  // 1,C,K,K and 1,C,1,1
    torch::nn::Conv2d w_conv_low = nullptr, w_conv_high = nullptr;

private:
    std::tuple<at::Tensor, at::Tensor> prior(const at::Tensor &x, const at::Tensor &lam);
};
TORCH_MODULE(WRC);

}  // namespace upwell::nn
