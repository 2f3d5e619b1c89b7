// The joint bilateral upsampler of FeatUp (ICLR 2024, arXiv 2403.10516): a bicubic upsampling, filtered by weights that
// an image makes.
#pragma once

#include <torch/nn/cloneable.h>
#include <torch/nn/modules/container/sequential.h>
#include <torch/nn/pimpl.h>

namespace upwell::nn {

struct JBULearnedRangeOptions {
    JBULearnedRangeOptions(int64_t guidance_dim, int64_t feat_dim, int64_t key_dim)
        : guidance_dim_(guidance_dim), feat_dim_(feat_dim), key_dim_(key_dim) {}

    TORCH_ARG(int64_t, guidance_dim);  // channels of the guidance
    TORCH_ARG(int64_t, feat_dim);      // and of the features
    TORCH_ARG(int64_t, key_dim);       // channels that the guidance is compared in
    TORCH_ARG(int64_t, radius) = 3;    // of the window, in pixels of the guidance
};

// The module of mhamilton723/FeatUp. Beyond the guidance maps go on in mirrors, and may be smaller than the radius.
struct JBULearnedRangeImpl : torch::nn::Cloneable<JBULearnedRangeImpl> {
    explicit JBULearnedRangeImpl(JBULearnedRangeOptions options);
    void reset() override;

    // source N,feat_dim,h,w, guidance N,guidance_dim,H,W -> N,feat_dim,H,W. Throws c10::Error on bad shapes.
    at::Tensor forward(const at::Tensor &source, const at::Tensor &guidance);

    JBULearnedRangeOptions options;
    at::Tensor range_temp, sigma_spatial;
    torch::nn::Sequential range_proj = nullptr, fixup_proj = nullptr;
};
TORCH_MODULE(JBULearnedRange);

// The module of mhamilton723/FeatUp: four times a ratio of 2, each with the guidance averaged to its size.
struct JBUStackImpl : torch::nn::Cloneable<JBUStackImpl> {
    explicit JBUStackImpl(int64_t feat_dim);
    void reset() override;

    // source N,feat_dim,h,w, guidance N,3,H,W of any size -> N,feat_dim,16 h,16 w. Throws c10::Error on bad shapes.
    at::Tensor forward(const at::Tensor &source, const at::Tensor &guidance);

    int64_t feat_dim;
    JBULearnedRange up1 = nullptr, up2 = nullptr, up3 = nullptr, up4 = nullptr;
    torch::nn::Sequential fixup_proj = nullptr;
};
TORCH_MODULE(JBUStack);

}  // namespace upwell::nn
