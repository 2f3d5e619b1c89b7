// SAPA.
#include "sapa.h"

#include <array>

#include <ATen/ops/linear.h>
#include <ATen/ops/sigmoid.h>

#include "../operators.h"
#include "check.h"
#include "initial.h"
#include "layer.h"
#include "norm.h"

namespace upwell::nn {
namespace {

using at::Tensor;

template<class Options> void check_options(const char *module, const Options &options) {
    if (options.up_factor()) {
        check_least(module, "up_factor", *options.up_factor(), 1);
    }
    check_kernel(module, "up_kernel_size", options.up_kernel_size(), kernels("carafe"));
    check_choice(module, "border", options.border(), {"zero", "mask"});
}

template<class Options> void check_maps(const char *module, const Options &options, const Tensor &y, const Tensor &x) {
    check_map(module, "y", y, options.dim_y());
    check_map(module, "x", x, options.dim_x());
    check_same_batch(module, "x", x, "y", y);
    if (options.up_factor()) {
        check_multiple(module, "y", y, x, *options.up_factor());
    }
}

Tensor channels_last(const Tensor &x) {
    return x.permute({0, 2, 3, 1});
}

Tensor channels_first(const Tensor &x) {
    return x.permute({0, 3, 1, 2});
}

}  // namespace

SAPAImpl::SAPAImpl(SAPAOptions given) : options(std::move(given)) {
    check_options("SAPA", options);
    reset();
}

void SAPAImpl::reset() {
    if (options.norm()) {
        norm_y = register_module("norm_y", published_group_norm(options.dim_y()));
        norm_x = register_module("norm_x", published_group_norm(options.dim_x()));
    }
    const auto projection = [&](const char *name, int64_t channels) {
        auto convolution = torch::nn::Conv2dOptions(channels, options.embedding_dim(), 1).bias(options.qkv_bias());
        return register_module(name, torch::nn::Conv2d(convolution));
    };
    q = projection("q", options.dim_y());
    k = projection("k", options.dim_x());
    apply(small_convolutions);
}

Tensor SAPAImpl::forward(const Tensor &y, const Tensor &x) {
    check_maps("SAPA", options, y, x);
    const Tensor query = project_normalised("SAPA", q, norm_y, y), key = project_normalised("SAPA", k, norm_x, x);
    return ops::sapa_attention(x, query, key, options.up_kernel_size(), options.border());
}

SAPAExpImpl::SAPAExpImpl(SAPAExpOptions given) : options(std::move(given)) {
    check_options("SAPAExp", options);
    check_choice("SAPAExp", "q_mode", options.q_mode(), {"encoder_only", "cat", "gate"});
    reset();
}

void SAPAExpImpl::reset() {
    const int64_t Cy = options.dim_y(), Cx = options.dim_x(), D = options.embedding_dim();
    const int64_t out = options.out_dim().value_or(Cx);
    const auto norm = [&](const char *name, int64_t channels) {
        return register_module(name, torch::nn::LayerNorm(torch::nn::LayerNormOptions({channels})));
    };
    const auto linear = [&](const char *name, int64_t from, int64_t to) {
        return register_module(name, torch::nn::Linear(torch::nn::LinearOptions(from, to).bias(options.qkv_bias())));
    };
    norm_y = norm("norm_y", Cy);
    norm_x = norm("norm_x", Cx);
    if (options.q_mode() == "gate") {
        qy = linear("qy", Cy, D);
        qx = linear("qx", Cx, D);
        gate = linear("gate", Cx, 1);
    } else {
        q = linear("q", options.q_mode() == "cat" ? Cx + Cy : Cy, D);
    }
    k = linear("k", Cx, D);
    if (options.v_embed() || out != Cx) {
        v = linear("v", Cx, out);
    }
    apply(small_projections);
}

// What is made of x is made at low resolution: a pixel of the upsampled map is a cell.
Tensor SAPAExpImpl::query(const Tensor &normal_y, const Tensor &x, const Tensor &normal_x) {
    const auto upsampled = [&](const Tensor &low) {
        return ops::nearest(channels_first(low), std::array<c10::SymInt, 2>{normal_y.size(1), normal_y.size(2)});
    };
    if (options.q_mode() == "gate") {
        const Tensor share = at::sigmoid(gate(normal_x));
        return upsampled(share) * channels_first(qy(normal_y)) + upsampled((1 - share) * qx(x));
    }
    if (options.q_mode() == "encoder_only") {
        return channels_first(q(normal_y));
    }
    const auto weights = q->weight.split_with_sizes({options.dim_y(), options.dim_x()}, 1);
    const auto bias = q->bias.defined() ? std::optional(q->bias) : std::nullopt;
    return channels_first(at::linear(normal_y, weights[0], bias)) + upsampled(at::linear(x, weights[1]));
}

Tensor SAPAExpImpl::forward(const Tensor &y, const Tensor &x) {
    check_maps("SAPAExp", options, y, x);
    for (const auto &[name, layer] :
         {std::pair{"q", &q}, {"qy", &qy}, {"qx", &qx}, {"gate", &gate}, {"k", &k}, {"v", &v}}) {
        if (!layer->is_empty()) {
            check_own_class("SAPAExp", name, **layer);
        }
    }
    check_own_class("SAPAExp", "norm_y", *norm_y);
    check_own_class("SAPAExp", "norm_x", *norm_x);
    const Tensor inside = channels_last(x), normal_x = norm_x(inside);
    const Tensor value = v.is_empty() ? x : channels_first(v(normal_x));
    const Tensor of_y = query(norm_y(channels_last(y)), inside, normal_x), key = channels_first(k(normal_x));
    return ops::sapa_attention(value, of_y, key, options.up_kernel_size(), options.border());
}

}  // namespace upwell::nn
