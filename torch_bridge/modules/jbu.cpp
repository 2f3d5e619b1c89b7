// FeatUp's joint bilateral upsamplers.
#include "jbu.h"

#include <ATen/ops/adaptive_avg_pool2d.h>
#include <ATen/ops/add.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/linspace.h>
#include <torch/nn/modules/activation.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/dropout.h>

#include "../operators.h"
#include "check.h"
#include "layer.h"

namespace upwell::nn {
namespace {

using at::Tensor;

torch::nn::Sequential two_layers(int64_t in_channels, int64_t out_channels) {
    const auto convolution = [&](int64_t from) {
        return torch::nn::Conv2d(torch::nn::Conv2dOptions(from, out_channels, 1));
    };
    return torch::nn::Sequential(convolution(in_channels), torch::nn::GELU(), torch::nn::Dropout2d(0.1),
                                 convolution(out_channels));
}

// A Gaussian of the distance in radii, of each tap.
Tensor spatial(const Tensor &sigma, int64_t diameter) {
    const Tensor squares = at::linspace(-1, 1, diameter, sigma.options().requires_grad(false)).square();
    return (-(squares.unsqueeze(1) + squares) / (2 * sigma.square())).exp().flatten();
}

}  // namespace

JBULearnedRangeImpl::JBULearnedRangeImpl(JBULearnedRangeOptions given) : options(std::move(given)) {
    check_least("JBULearnedRange", "guidance_dim", options.guidance_dim(), 1);
    check_least("JBULearnedRange", "feat_dim", options.feat_dim(), 1);
    check_least("JBULearnedRange", "key_dim", options.key_dim(), 1);
    check_least("JBULearnedRange", "radius", options.radius(), 0);
    reset();
}

void JBULearnedRangeImpl::reset() {
    const int64_t diameter = 2 * options.radius() + 1, taps = diameter * diameter;
    range_temp = register_parameter("range_temp", at::zeros({}));
    range_proj = register_module("range_proj", two_layers(options.guidance_dim(), options.key_dim()));
    fixup_proj = register_module("fixup_proj", two_layers(options.guidance_dim() + taps, taps));
    sigma_spatial = register_parameter("sigma_spatial", at::ones({}));
}

Tensor JBULearnedRangeImpl::forward(const Tensor &source, const Tensor &guidance) {
    check_map("JBULearnedRange", "source", source, options.feat_dim());
    check_map("JBULearnedRange", "guidance", guidance, options.guidance_dim());
    check_same_batch("JBULearnedRange", "source", source, "guidance", guidance);
    const int64_t diameter = 2 * options.radius() + 1;
    const Tensor projection = range_proj->forward(guidance);
    const Tensor temperature = range_temp.exp().clamp(1e-4, 1e4);
    Tensor weights =
        ops::range_weights(temperature * projection, projection, spatial(sigma_spatial, diameter), diameter);
    const Tensor both = at::cat({weights, guidance.to(weights.scalar_type())}, 1);
    weights = at::add(weights, fixup_proj->forward(both), 0.1);
    const Tensor high = ops::bicubic(source, std::array<c10::SymInt, 2>{guidance.size(2), guidance.size(3)});
    return ops::adaptive_conv(high, weights, diameter);
}

JBUStackImpl::JBUStackImpl(int64_t feat_dim) : feat_dim(feat_dim) {
    check_least("JBUStack", "feat_dim", feat_dim, 1);
    reset();
}

void JBUStackImpl::reset() {
    const auto up = [&](const char *name) {
        return register_module(name, JBULearnedRange(JBULearnedRangeOptions(3, feat_dim, 32)));
    };
    up1 = up("up1");
    up2 = up("up2");
    up3 = up("up3");
    up4 = up("up4");
    fixup_proj = register_module(
        "fixup_proj", torch::nn::Sequential(torch::nn::Dropout2d(0.2), torch::nn::Conv2d(feat_dim, feat_dim, 1)));
}

Tensor JBUStackImpl::forward(const Tensor &source, const Tensor &guidance) {
    check_map("JBUStack", "source", source, feat_dim);
    check_map("JBUStack", "guidance", guidance, 3);
    check_same_batch("JBUStack", "source", source, "guidance", guidance);
    Tensor high = source;
    const auto upsample = [&](const char *name, JBULearnedRange &up) {
        check_own_class("JBUStack", name, *up);
        high = up->forward(high, at::adaptive_avg_pool2d(guidance, {2 * high.size(2), 2 * high.size(3)}));
    };
    upsample("up1", up1);
    upsample("up2", up2);
    upsample("up3", up3);
    upsample("up4", up4);
    return at::add(high, fixup_proj->forward(high), 0.1);
}

}  // namespace upwell::nn
