// Paired central difference convolution.
#include "pcdc.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>
#include <torch/nn/init.h>
#include <torch/nn/modules/activation.h>

#include "../operators.h"
#include "check.h"
#include "layer.h"

namespace upwell::nn {
namespace {

constexpr int64_t hidden_channels = 128;

}  // namespace

PCDCBlockImpl::PCDCBlockImpl(PCDCBlockOptions given) : options(std::move(given)) {
    TORCH_CHECK(options.layout() == "published" || options.layout() == "paper",
                "PCDCBlock: layout should be 'published' or 'paper' but is '", options.layout(), "'");
    check_odd("PCDCBlock", "kernel_size", options.kernel_size());
    check_divides("PCDCBlock", "groups", options.groups(), "in_channels", options.in_channels());
    check_divides("PCDCBlock", "groups", options.groups(), "the smallest layout's channels", 32);
    check_divides("PCDCBlock", "gn_dim", options.gn_dim(), "in_channels", options.in_channels());
    check_divides("PCDCBlock", "gn_dim", options.gn_dim(), "the hidden channels", hidden_channels);
    reset();
}

void PCDCBlockImpl::reset() {
    using namespace torch::nn;
    const bool published = options.layout() == "published";
    const int64_t K = options.kernel_size(), L = published ? 128 : 32;  // the paper's text says 32, its code 128
    norm = register_module("norm", GroupNorm(GroupNormOptions(options.gn_dim(), options.in_channels())));
    Sequential compressor;
    if (published) {
        compressor->push_back(ReLU());
    }
    compressor->push_back(Conv2d(Conv2dOptions(L, hidden_channels, 1).groups(options.groups())));
    compressor->push_back(ReLU());
    compressor->push_back(GroupNorm(GroupNormOptions(options.gn_dim(), hidden_channels)));
    compressor->push_back(Conv2d(Conv2dOptions(hidden_channels, K * K, 1)));
    channel_compressor = register_module("channel_compressor", compressor);
    weight = register_parameter("weight", at::empty({L, options.in_channels() / options.groups(), K, K}));
    bias = register_parameter("bias", at::zeros({1, L, 1, 1}));
    init::kaiming_normal_(weight, 0, torch::kFanOut, torch::kReLU);
}

at::Tensor PCDCBlockImpl::forward(const at::Tensor &k, const at::Tensor &q, Ratio rows, Ratio columns, bool blur) {
    const std::array<c10::SymInt, 4> ratio{rows.high, rows.low, columns.high, columns.low};
    return scores(k, q, c10::SymIntArrayRef(ratio), blur);
}

at::Tensor PCDCBlockImpl::forward_low_res(const at::Tensor &k, const at::Tensor &q) {
    return scores(k, q, std::nullopt, false);
}

// The parameter's value, its gradient times lr_mult.
at::Tensor PCDCBlockImpl::scaled(const at::Tensor &parameter) const {
    if (options.lr_mult() == 1) {
        return parameter;
    }
    const at::Tensor fixed = parameter.detach();
    return fixed + options.lr_mult() * (parameter - fixed);
}

at::Tensor PCDCBlockImpl::scores(const at::Tensor &k, const at::Tensor &q, at::OptionalSymIntArrayRef ratio,
                                 bool blur) const {
    const size_t begin = channel_compressor->size() - 4;  // convolution, ReLU, norm, convolution
    const auto &first = channel_compressor->at<torch::nn::Conv2dImpl>(begin);
    const auto &middle = channel_compressor->at<torch::nn::GroupNormImpl>(begin + 2);
    const auto &last = channel_compressor->at<torch::nn::Conv2dImpl>(begin + 3);
    // They are read and never called, in C++.
    const auto is_norm = [&](const torch::nn::GroupNormImpl &layer) {
        const auto &o = layer.options;
        return typeid(layer) == typeid(torch::nn::GroupNormImpl) && o.affine() && o.num_groups() == options.gn_dim() &&
               o.eps() == 1e-5;
    };
    const auto is_pointwise = [](const torch::nn::Conv2dImpl &layer, int64_t groups) {
        return typeid(layer) == typeid(torch::nn::Conv2dImpl) && is_convolution(layer, 1, groups) &&
               layer.bias.defined();
    };
    TORCH_CHECK(is_norm(*norm) && is_norm(middle) && is_pointwise(first, options.groups()) && is_pointwise(last, 1),
                "PCDCBlock: norm and channel_compressor should be as the constructor makes them but are ", *norm, " and ",
                *channel_compressor);
    // The norm's bias cancels; naming it gives it the gradient 0 that optimisers expect.
    const at::Tensor offset = scaled(bias).flatten() + 0 * norm->bias.sum();
    return ops::pcdc_scores(k, q, scaled(norm->weight), scaled(weight), offset, scaled(first.weight),
                            scaled(first.bias), scaled(middle.weight), scaled(middle.bias), scaled(last.weight),
                            scaled(last.bias), options.groups(), options.gn_dim(), ratio,
                            options.layout() == "published", blur);
}

}  // namespace upwell::nn
