// Paired central difference convolution (ReSFU): scores of K*K neighbours.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <tuple>

#include <torch/nn/cloneable.h>
#include <torch/nn/modules/container/sequential.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/normalization.h>
#include <torch/nn/pimpl.h>

namespace upwell::nn {

// High-res pixels per low-res pixel along an axis, high / low exactly.
struct Ratio {
    int64_t high, low;
};

struct PCDCBlockOptions {
    explicit PCDCBlockOptions(int64_t in_channels) : in_channels_(in_channels) {}

    TORCH_ARG(int64_t, in_channels);               // D of k and q
    TORCH_ARG(int64_t, kernel_size) = 3;           // K, odd
    TORCH_ARG(int64_t, groups) = 4;                // of the convolutions
    TORCH_ARG(int64_t, gn_dim) = 8;                // groups of the GroupNorms; divides D and 128
    TORCH_ARG(double, lr_mult) = 1;                // factor on the gradients of the parameters
    TORCH_ARG(std::string, layout) = "published";  // L = 128; or "paper": L = 32, no ReLU before the compressor
    TORCH_ARG(int64_t, keep_mib) = -1;             // what hidden channels may take on a CPU, see ops::pcdc_scores
};

// v = conv(k, w, taps one ratio apart) - conv1x1(q, sum of w) + bias, then two 1x1 convolutions to K*K scores.
// k and q pass one GroupNorm each, with statistics of their own and shared affine parameters; its bias cancels.
struct PCDCBlockImpl : torch::nn::Cloneable<PCDCBlockImpl> {
    explicit PCDCBlockImpl(PCDCBlockOptions options);
    void reset() override;

    // k, q N,D,H,W -> scores N,K*K,H,W. blur: k by the 3x3 Gaussian (sigma 1, replicate border) before anything else.
    at::Tensor forward(const at::Tensor &k, const at::Tensor &q, Ratio rows, Ratio columns, bool blur = false);

    // forward with the bilinear upsampling of k (N,D,h,w), neighbours one low-res pixel apart: the same numbers,
    // exactly for integer ratios, for less work: a spread-out convolution of an upsampled map is the upsampling of the
    // plain convolution.
    at::Tensor forward_low_res(const at::Tensor &k, const at::Tensor &q);

    PCDCBlockOptions options;
    torch::nn::GroupNorm norm = nullptr;
    torch::nn::Sequential channel_compressor = nullptr;
    at::Tensor weight, bias;  // L,D/G,K,K and 1,L,1,1

private:
    struct Layers {
        const torch::nn::Conv2dImpl &first;
        const torch::nn::GroupNormImpl &middle;
        const torch::nn::Conv2dImpl &last;
    };

    at::Tensor scaled(const at::Tensor &parameter) const;
    std::optional<Layers> plain_layers() const;
    at::Tensor normalised(const at::Tensor &x, const std::tuple<at::Tensor, at::Tensor> &statistics) const;
    // ratio: of rows and columns; none: k at low resolution.
    at::Tensor scores(const at::Tensor &k, const at::Tensor &q, std::optional<std::array<Ratio, 2>> ratio, bool blur);
    at::Tensor composed(const at::Tensor &k, const at::Tensor &q, std::optional<std::array<Ratio, 2>> ratio, bool blur);
};
TORCH_MODULE(PCDCBlock);

}  // namespace upwell::nn
