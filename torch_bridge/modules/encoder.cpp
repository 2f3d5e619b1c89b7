// Encoders.
#include "encoder.h"

#include <cmath>

#include <ATen/ops/adaptive_avg_pool2d.h>
#include <ATen/ops/conv2d.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/silu.h>
#include <torch/nn/init.h>

#include "layer.h"
#include "pad.h"

namespace upwell::nn {

using at::Tensor;

ReflectConv2dImpl::ReflectConv2dImpl(int64_t from, int64_t to, int64_t kernel, bool with_bias)
    : in_channels(from), channels(to), kernel_size(kernel), has_bias(with_bias) {
    reset();
}

void ReflectConv2dImpl::reset() {
    weight = register_parameter("weight", at::empty({channels, in_channels, kernel_size, kernel_size}));
    torch::nn::init::kaiming_uniform_(weight, std::sqrt(5.0));
    if (has_bias) {
        bias = register_parameter("bias", at::empty({channels}));
        const double bound = 1 / std::sqrt(static_cast<double>(in_channels * kernel_size * kernel_size));
        torch::nn::init::uniform_(bias, -bound, bound);
    }
}

Tensor ReflectConv2dImpl::forward(const Tensor &x) {
    const Tensor padded = pad(x, kernel_size / 2, "reflect");
    return at::conv2d(padded, weight, has_bias ? std::optional(bias) : std::nullopt);
}

Tensor normalise(torch::nn::GroupNorm &norm, const Tensor &x) {
    return norm(x.flatten(2)).view(x.sizes());
}

BlockImpl::BlockImpl(BlockOptions given) : options(std::move(given)) {
    reset();
}

void BlockImpl::reset() {
    const bool numbered = options.numbered();
    const int64_t from = options.in_channels(), to = options.channels();
    const auto norm = [&](const char *name, int64_t channels) {
        return register_module(name, torch::nn::GroupNorm(torch::nn::GroupNormOptions(norm_groups, channels)));
    };
    const auto convolution = [&](const char *name, int64_t channels) {
        return register_module(name, ReflectConv2d(channels, to, options.kernel_size(), options.bias()));
    };
    norm1 = norm(numbered ? "0" : "norm1", from);
    conv1 = convolution(numbered ? "2" : "conv1", from);
    norm2 = norm(numbered ? "3" : "norm2", to);
    conv2 = convolution(numbered ? "5" : "conv2", to);
}

Tensor BlockImpl::forward(const Tensor &x) {
    check_own_class("Block", "norm1", *norm1);
    check_own_class("Block", "norm2", *norm2);
    const Tensor hidden = conv1(at::silu(normalise(norm1, x)));
    const Tensor made = conv2(at::silu(normalise(norm2, hidden)));
    return options.residual() ? x + made : made;
}

torch::nn::Sequential encoder(const EncoderOptions &options) {
    const int64_t channels = options.channels();
    torch::nn::Sequential layers(ReflectConv2d(options.in_channels(), channels, options.kernel_size(), options.bias()));
    for (int64_t i = 0; i < options.layers(); i++) {
        layers->push_back(Block(BlockOptions(channels, channels)
                                    .kernel_size(options.block_kernel())
                                    .bias(options.bias())
                                    .residual(options.residual())));
    }
    return layers;
}

Tensor pool(const Tensor &x, at::IntArrayRef size) {
    return x.size(2) == size[0] && x.size(3) == size[1] ? x : at::adaptive_avg_pool2d(x, size);
}

}  // namespace upwell::nn
