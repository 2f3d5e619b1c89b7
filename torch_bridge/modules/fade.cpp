// FADE.
#include "fade.h"

#include <array>

#include <ATen/ops/conv2d.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/zeros.h>
#include <torch/nn/init.h>

#include "../operators.h"
#include "check.h"
#include "initial.h"
#include "layer.h"

namespace upwell::nn {
namespace {

using at::Tensor;
using torch::nn::Conv2d;
using torch::nn::Conv2dOptions;

constexpr int64_t compressed_channels = 64;

Tensor upsampled(const Tensor &low, const Tensor &high) {
    return ops::nearest(low, std::array<c10::SymInt, 2>{high.size(2), high.size(3)});
}

}  // namespace

Conv1x1Impl::Conv1x1Impl(int64_t in_channels, int64_t out_channels)
    : in_channels(in_channels), out_channels(out_channels) {
    reset();
}

void Conv1x1Impl::reset() {
    conv = register_module("conv", Conv2d(Conv2dOptions(in_channels, out_channels, 1)));
}

Tensor Conv1x1Impl::forward(const Tensor &x) {
    check_own_class("FADE", "conv", *conv);
    return conv(x);
}

SemiShiftImpl::SemiShiftImpl(FADEOptions given) : options(std::move(given)) {
    reset();
}

void SemiShiftImpl::reset() {
    const int64_t taps = options.up_kernel_size() * options.up_kernel_size();
    const bool depthwise = options.variant() == "lite", h2l = options.variant() == "h2l";
    const int64_t compressed = depthwise ? taps : compressed_channels;
    compressor_en = register_module(h2l ? "conv1_en" : "compressor_en",
                                    Conv2d(Conv2dOptions(options.in_channels_en(), compressed, 1)));
    compressor_de = register_module(h2l ? "conv1_de" : "compressor_de",
                                    Conv2d(Conv2dOptions(options.in_channels_de(), compressed, 1).bias(false)));
    if (h2l) {
        conv2_kernels = register_parameter("conv2_kernels", at::empty({taps, compressed, 3, 3}));
        conv2_bias = register_parameter("conv2_bias", at::zeros({taps}));
        torch::nn::init::xavier_normal_(conv2_kernels);
    } else {
        const auto convolution = Conv2dOptions(compressed, taps, 3).padding(1).groups(depthwise ? taps : 1);
        content_encoder = register_module("content_encoder", Conv2d(convolution));
    }
}

Tensor SemiShiftImpl::encoded(const Tensor &compressed) {
    return content_encoder.is_empty() ? at::conv2d(compressed, conv2_kernels, conv2_bias, 1, at::IntArrayRef{1})
                                      : content_encoder(compressed);
}

Tensor SemiShiftImpl::forward(const Tensor &en, const Tensor &de) {
    check_own_class("FADE", "a compressor", *compressor_en);
    check_own_class("FADE", "a compressor", *compressor_de);
    if (!content_encoder.is_empty()) {
        check_own_class("FADE", "content_encoder", *content_encoder);
    }
    return encoded(compressor_en(en)) + upsampled(encoded(compressor_de(de)), en);
}

FADEImpl::FADEImpl(FADEOptions given) : options(std::move(given)) {
    if (options.scale()) {
        check_least("FADE", "scale", *options.scale(), 1);
    }
    check_odd("FADE", "up_kernel_size", options.up_kernel_size());
    check_choice("FADE", "variant", options.variant(), {"l2h", "h2l", "lite", "ungated"});
    check_choice("FADE", "border", options.border(), {"zero", "mask"});
    reset();
}

void FADEImpl::reset() {
    const int64_t Ce = options.in_channels_en(), Cd = options.in_channels_de();
    const bool gated = options.variant() != "ungated";
    if (gated) {
        gate_generator = register_module("gate_generator", Conv1x1(Cd, 1));
    }
    if (gated && Ce != Cd) {
        aligner = register_module("aligner", Conv1x1(Ce, Cd));
    }
    ker_generator =
        register_module(options.variant() == "h2l" ? "kernel_generator" : "ker_generator", SemiShift(options));
    apply(uniform_convolutions);
}

Tensor FADEImpl::forward(const Tensor &en, const Tensor &de) {
    check_map("FADE", "en", en, options.in_channels_en());
    check_map("FADE", "de", de, options.in_channels_de());
    check_same_batch("FADE", "en", en, "de", de);
    if (options.scale()) {
        check_multiple("FADE", "en", en, de, *options.scale());
    }
    const Tensor up = ops::carafe(de, ker_generator(en, de), options.up_kernel_size(), 1, options.border());
    if (gate_generator.is_empty()) {
        return up;
    }
    const Tensor gate = upsampled(at::sigmoid(gate_generator(de)), en);
    const Tensor passed = aligner.is_empty() ? en : aligner(en);
    return gate * passed + (1 - gate) * up;
}

}  // namespace upwell::nn
