// Queries and keys as AnyUp and JAFAR make them: of torch's multi-head attention, the part that reaches their output.
#pragma once

#include <tuple>

#include <torch/nn/cloneable.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/linear.h>
#include <torch/nn/pimpl.h>

namespace upwell::nn {

// x divided by the root of the mean over its last dimension of x^2 plus the dtype's epsilon, times a weight: torch's
// RMSNorm, which LibTorch has no module of.
struct RMSNormImpl : torch::nn::Cloneable<RMSNormImpl> {
    explicit RMSNormImpl(int64_t channels);
    void reset() override;
    at::Tensor forward(const at::Tensor &x);  // ...,channels

    int64_t channels;
    at::Tensor weight;
};
TORCH_MODULE(RMSNorm);

// The projections of queries and keys of a torch::nn::MultiheadAttention, whose initial values and names this has.
// Those of values and of the output reach nothing, and take no gradient: what is upsampled is the features themselves.
// Checkpoints have them.
// dim: D of queries and keys.
struct HeadProjectionsImpl : torch::nn::Cloneable<HeadProjectionsImpl> {
    HeadProjectionsImpl(int64_t dim, int64_t value_dim);
    void reset() override;
    std::tuple<at::Tensor, at::Tensor> forward(const at::Tensor &query, const at::Tensor &key);  // ...,D

    int64_t dim, value_dim;
    torch::nn::Linear out_proj = nullptr;
    at::Tensor in_proj_weight;                               // 3 D,D where value_dim is D
    at::Tensor q_proj_weight, k_proj_weight, v_proj_weight;  // D,D, D,D and D,value_dim where not
    at::Tensor in_proj_bias;                                 // 3 D
};
TORCH_MODULE(HeadProjections);

// HeadProjections of normalised queries and keys. norm_values: have the norm of the values that JAFAR's checkpoints
// have; it reaches nothing.
struct NormalisedProjectionsImpl : torch::nn::Cloneable<NormalisedProjectionsImpl> {
    NormalisedProjectionsImpl(int64_t dim, int64_t value_dim, bool norm_values);
    void reset() override;
    std::tuple<at::Tensor, at::Tensor> forward(const at::Tensor &query, const at::Tensor &key);  // ...,D

    int64_t dim, value_dim;
    bool norm_values;
    RMSNorm norm_q = nullptr, norm_k = nullptr, norm_v = nullptr;
    HeadProjections attention = nullptr;
};
TORCH_MODULE(NormalisedProjections);

// A 3x3 convolution of the queries, and NormalisedProjections of them and of the keys.
struct QueriesAndKeysImpl : torch::nn::Cloneable<QueriesAndKeysImpl> {
    QueriesAndKeysImpl(int64_t dim, int64_t value_dim, bool norm_values = false);
    void reset() override;
    // query N,D,H,W, key N,D,h,w, of the same shapes.
    std::tuple<at::Tensor, at::Tensor> forward(const at::Tensor &query, const at::Tensor &key);

    int64_t dim, value_dim;
    bool norm_values;
    NormalisedProjections cross_attn = nullptr;
    torch::nn::Conv2d conv2d = nullptr;
};
TORCH_MODULE(QueriesAndKeys);

}  // namespace upwell::nn
