// FADE (ECCV 2022, arXiv 2207.10392; arXiv 2407.13500): CARAFE whose weights the encoder's high-res map helps to make,
// and a gate that lets that map itself through.
#pragma once

#include <optional>
#include <string>

#include <torch/nn/cloneable.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/pimpl.h>

namespace upwell::nn {

struct FADEOptions {
    explicit FADEOptions(int64_t in_channels_en) : in_channels_en_(in_channels_en), in_channels_de_(in_channels_en) {}

    TORCH_ARG(int64_t, in_channels_en);            // of the encoder's high-res map
    TORCH_ARG(int64_t, in_channels_de);            // of the decoder's low-res map
    TORCH_ARG(std::optional<int64_t>, scale) = 2;  // which en has to be of de; none: en may have any size
    TORCH_ARG(int64_t, up_kernel_size) = 5;        // K, odd
    TORCH_ARG(std::string, variant) = "l2h";       // or "h2l", "lite", "ungated"
    TORCH_ARG(std::string, border) = "zero";       // or "mask": taps outside leave the softmax
};

// A 1x1 convolution, called conv.
struct Conv1x1Impl : torch::nn::Cloneable<Conv1x1Impl> {
    Conv1x1Impl(int64_t in_channels, int64_t out_channels);
    void reset() override;
    at::Tensor forward(const at::Tensor &x);

    int64_t in_channels, out_channels;
    torch::nn::Conv2d conv = nullptr;
};
TORCH_MODULE(Conv1x1);

// One 3x3 convolution for both compressed maps, each at its own resolution; the sum has the bias twice, as published.
struct SemiShiftImpl : torch::nn::Cloneable<SemiShiftImpl> {
    explicit SemiShiftImpl(FADEOptions options);
    void reset() override;

    // en N,Ce,H,W, de N,Cd,h,w -> logits N,K*K,H,W.
    at::Tensor forward(const at::Tensor &en, const at::Tensor &de);

    FADEOptions options;
    torch::nn::Conv2d compressor_en = nullptr, compressor_de = nullptr;  // variant h2l: conv1_en, conv1_de
    torch::nn::Conv2d content_encoder = nullptr;                         // of all variants but h2l
    at::Tensor conv2_kernels, conv2_bias;                                // of variant h2l: K*K,64,3,3 and K*K

private:
    // The 3x3 convolution of what the compressor makes of x N,C,H,W -> N,K*K,H,W.
    at::Tensor encoded(torch::nn::Conv2d &compressor, const at::Tensor &x);
};
TORCH_MODULE(SemiShift);

// The modules of poppinace/fade. With a gate, an en of other channels than de passes a 1x1 convolution, aligner.conv.
struct FADEImpl : torch::nn::Cloneable<FADEImpl> {
    explicit FADEImpl(FADEOptions options);
    void reset() override;

    // en N,Ce,H,W, de N,Cd,h,w -> N,Cd,H,W. Throws c10::Error on bad shapes.
    at::Tensor forward(const at::Tensor &en, const at::Tensor &de);

    FADEOptions options;
    Conv1x1 gate_generator = nullptr, aligner = nullptr;
    SemiShift ker_generator = nullptr;  // variant h2l: kernel_generator
};
TORCH_MODULE(FADE);

}  // namespace upwell::nn
