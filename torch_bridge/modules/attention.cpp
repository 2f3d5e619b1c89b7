// Queries and keys.
#include "attention.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/rms_norm.h>
#include <ATen/ops/zeros.h>
#include <torch/nn/init.h>

#include "layer.h"

namespace upwell::nn {

using at::Tensor;

RMSNormImpl::RMSNormImpl(int64_t of_channels) : channels(of_channels) {
    reset();
}

void RMSNormImpl::reset() {
    weight = register_parameter("weight", at::ones({channels}));
}

Tensor RMSNormImpl::forward(const Tensor &x) {
    return at::rms_norm(x, {channels}, weight);
}

HeadProjectionsImpl::HeadProjectionsImpl(int64_t of_queries, int64_t of_values)
    : dim(of_queries), value_dim(of_values) {
    reset();
}

void HeadProjectionsImpl::reset() {
    const auto weight = [&](const char *name, int64_t out, int64_t in) {
        Tensor parameter = register_parameter(name, at::empty({out, in}));
        return torch::nn::init::xavier_uniform_(parameter);
    };
    out_proj = register_module("out_proj", torch::nn::Linear(dim, dim));
    if (value_dim == dim) {
        in_proj_weight = weight("in_proj_weight", 3 * dim, dim);
    } else {  // torch keeps them apart where they do not fit into one
        q_proj_weight = weight("q_proj_weight", dim, dim);
        k_proj_weight = weight("k_proj_weight", dim, dim);
        v_proj_weight = weight("v_proj_weight", dim, value_dim);
    }
    in_proj_bias = register_parameter("in_proj_bias", at::zeros({3 * dim}));
    torch::nn::init::zeros_(out_proj->bias);
    // They reach nothing.
    for (Tensor parameter : out_proj->parameters()) {
        parameter.set_requires_grad(false);
    }
    if (v_proj_weight.defined()) {
        v_proj_weight.set_requires_grad(false);
    }
}

std::tuple<Tensor, Tensor> HeadProjectionsImpl::forward(const Tensor &query, const Tensor &key) {
    const bool in_one = value_dim == dim;
    const Tensor of_query = in_one ? in_proj_weight.narrow(0, 0, dim) : q_proj_weight;
    const Tensor of_key = in_one ? in_proj_weight.narrow(0, dim, dim) : k_proj_weight;
    return {at::linear(query, of_query, in_proj_bias.narrow(0, 0, dim)),
            at::linear(key, of_key, in_proj_bias.narrow(0, dim, dim))};
}

NormalisedProjectionsImpl::NormalisedProjectionsImpl(int64_t of_queries, int64_t of_values, bool with_norm_of_values)
    : dim(of_queries), value_dim(of_values), norm_values(with_norm_of_values) {
    reset();
}

void NormalisedProjectionsImpl::reset() {
    norm_q = register_module("norm_q", RMSNorm(dim));
    norm_k = register_module("norm_k", RMSNorm(dim));
    if (norm_values) {
        norm_v = register_module("norm_v", RMSNorm(value_dim));
        norm_v->weight.set_requires_grad(false);  // it reaches nothing
    }
    attention = register_module("attention", HeadProjections(dim, value_dim));
}

std::tuple<Tensor, Tensor> NormalisedProjectionsImpl::forward(const Tensor &query, const Tensor &key) {
    return attention(norm_q(query), norm_k(key));
}

QueriesAndKeysImpl::QueriesAndKeysImpl(int64_t of_queries, int64_t of_values, bool with_norm_of_values)
    : dim(of_queries), value_dim(of_values), norm_values(with_norm_of_values) {
    reset();
}

void QueriesAndKeysImpl::reset() {
    cross_attn = register_module("cross_attn", NormalisedProjections(dim, value_dim, norm_values));
    const auto options = torch::nn::Conv2dOptions(dim, dim, 3).padding(1).bias(false);
    conv2d = register_module("conv2d", torch::nn::Conv2d(options));
}

std::tuple<Tensor, Tensor> QueriesAndKeysImpl::forward(const Tensor &query, const Tensor &key) {
    check_own_class("QueriesAndKeys", "conv2d", *conv2d);
    const auto [q, k] = cross_attn(conv2d(query).permute({0, 2, 3, 1}), key.permute({0, 2, 3, 1}));
    return {q.permute({0, 3, 1, 2}), k.permute({0, 3, 1, 2})};
}

}  // namespace upwell::nn
