// SAPA (NeurIPS 2022, arXiv 2209.12866): upsampling by the similarity of high-res queries and low-res keys.
#pragma once

#include <optional>
#include <string>

#include <torch/nn/cloneable.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/linear.h>
#include <torch/nn/modules/normalization.h>
#include <torch/nn/pimpl.h>

namespace upwell::nn {

struct SAPAOptions {
    explicit SAPAOptions(int64_t dim_y) : dim_y_(dim_y), dim_x_(dim_y) {}

    TORCH_ARG(int64_t, dim_y);                         // channels of the guidance
    TORCH_ARG(int64_t, dim_x);                         // channels of the features
    TORCH_ARG(std::optional<int64_t>, up_factor) = 2;  // which y has to be of x; none: y may have any size
    TORCH_ARG(int64_t, up_kernel_size) = 5;            // K, odd
    TORCH_ARG(int64_t, embedding_dim) = 32;            // D of queries and keys
    TORCH_ARG(bool, qkv_bias) = true;
    TORCH_ARG(bool, norm) = true;             // GroupNorms of x and y
    TORCH_ARG(std::string, border) = "zero";  // or "mask": taps outside leave the softmax
};

// The module of tiny-smart/sapa.
struct SAPAImpl : torch::nn::Cloneable<SAPAImpl> {
    explicit SAPAImpl(SAPAOptions options);
    void reset() override;

    // Guidance y N,dim_y,H,W, features x N,dim_x,h,w -> N,dim_x,H,W. Throws c10::Error on bad shapes.
    at::Tensor forward(const at::Tensor &y, const at::Tensor &x);

    SAPAOptions options;
    torch::nn::GroupNorm norm_y = nullptr, norm_x = nullptr;
    torch::nn::Conv2d q = nullptr, k = nullptr;
};
TORCH_MODULE(SAPA);

struct SAPAExpOptions {
    explicit SAPAExpOptions(int64_t dim_y) : dim_y_(dim_y), dim_x_(dim_y) {}

    TORCH_ARG(int64_t, dim_y);
    TORCH_ARG(int64_t, dim_x);
    TORCH_ARG(std::optional<int64_t>, out_dim);       // of the output; none: dim_x
    TORCH_ARG(std::string, q_mode) = "encoder_only";  // what queries are made of: y; "cat", "gate": y and x
    TORCH_ARG(bool, v_embed) = false;                 // upsample a projection of x; so it is where out_dim is not dim_x
    TORCH_ARG(std::optional<int64_t>, up_factor) = 2;
    TORCH_ARG(int64_t, up_kernel_size) = 5;
    TORCH_ARG(int64_t, embedding_dim) = 64;
    TORCH_ARG(bool, qkv_bias) = true;
    TORCH_ARG(std::string, border) = "zero";
};

// The module of poppinace/sapa (SAPAExp.py), the paper's own.
struct SAPAExpImpl : torch::nn::Cloneable<SAPAExpImpl> {
    explicit SAPAExpImpl(SAPAExpOptions options);
    void reset() override;

    // Guidance y N,dim_y,H,W, features x N,dim_x,h,w -> N,out_dim,H,W. Throws c10::Error on bad shapes.
    at::Tensor forward(const at::Tensor &y, const at::Tensor &x);

    SAPAExpOptions options;
    torch::nn::LayerNorm norm_y = nullptr, norm_x = nullptr;
    torch::nn::Linear q = nullptr, qy = nullptr, qx = nullptr, gate = nullptr, k = nullptr, v = nullptr;

private:
    at::Tensor query(const at::Tensor &normal_y, const at::Tensor &x, const at::Tensor &normal_x);
};
TORCH_MODULE(SAPAExp);

}  // namespace upwell::nn
