// ReSFU (arXiv 2407.02283): upsampling by the similarity of aligned high-res queries and low-res keys.
#pragma once

#include <optional>

#include "guided_filter.h"
#include "pcdc.h"

namespace upwell::nn {

// The authors' published constructor. scale_factor: an integer has the published meaning (neighbours are that many
// pixels apart and masked accordingly, whatever y's size); a real number, or none, means the true ratio of the sizes.
struct ReSFUOptions {
    explicit ReSFUOptions(int64_t dim_y) : dim_y_(dim_y), dim_x_(dim_y) {}

    TORCH_ARG(int64_t, dim_y);            // channels of the guidance
    TORCH_ARG(int64_t, dim_x);            // channels of the features
    TORCH_ARG(int64_t, groups) = 4;       // of the PCDC convolutions
    TORCH_ARG(int64_t, kernel_size) = 3;  // K, neighbours per side, odd
    TORCH_ARG(std::optional<double>, scale_factor) = 4;
    TORCH_ARG(int64_t, embedding_dim) = 32;  // D of queries and keys
    TORCH_ARG(bool, y_conv) = true;
    TORCH_ARG(bool, qkv_bias) = true;
    TORCH_ARG(bool, normx) = true;
    TORCH_ARG(bool, normy) = true;
    TORCH_ARG(int64_t, gn_dim) = 8;  // groups of the PCDC GroupNorms
    TORCH_ARG(int64_t, radius) = 8;  // radius, eps, gf_scale: of the guided filter
    TORCH_ARG(double, eps) = 1e-3;
    TORCH_ARG(double, lr_mult) = 1;  // factor on the gradients of the PCDC parameters
    TORCH_ARG(int64_t, gf_scale) = 2;
    TORCH_ARG(std::string, layout) = "published";  // of the PCDC blocks, or "paper"
    TORCH_ARG(bool, gf_centred) = false;           // correct the published filter's shift
    TORCH_ARG(int64_t, keep_mib) = -1;             // of each PCDC block, see ops::pcdc_scores
};

struct ReSFUImpl : torch::nn::Cloneable<ReSFUImpl> {
    explicit ReSFUImpl(ReSFUOptions options);
    void reset() override;

    // Guidance y N,dim_y,H,W, features x N,dim_x,h,w -> N,dim_x,H,W. Throws c10::Error on bad shapes.
    at::Tensor forward(const at::Tensor &y, const at::Tensor &x);

    ReSFUOptions options;
    torch::nn::GroupNorm norm_x = nullptr, norm_y = nullptr;
    torch::nn::Conv2d q = nullptr, k = nullptr;
    GuidedFilter GF = nullptr;
    PCDCBlock semantic_scores = nullptr, detail_scores = nullptr;
};
TORCH_MODULE(ReSFU);

}  // namespace upwell::nn
