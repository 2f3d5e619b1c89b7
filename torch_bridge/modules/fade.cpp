// FADE.
#include "fade.h"

#include <algorithm>
#include <array>
#include <limits>

#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/conv2d.h>
#include <ATen/ops/einsum.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/floor_divide.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/softmax.h>
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

// 3,length: 1 where a tap before, at or behind a place is one of 0 .. length - 1, else 0.
Tensor taps_inside(int64_t length, const Tensor &like) {
    const auto whole = like.options().dtype(at::kLong);
    const Tensor places = at::arange(length, whole) + at::arange(-1, 2, whole).unsqueeze(1);
    return ((places >= 0) & (places < length)).to(like.scalar_type());
}

// Of one axis, kernel,pixels: whether a tap of a pixel lies outside the cells.
Tensor taps_outside(int64_t kernel, int64_t cells, int64_t pixels, const Tensor &like) {
    const auto whole = like.options().dtype(at::kLong);
    const Tensor own = at::floor_divide(at::arange(pixels, whole) * cells, std::max<int64_t>(pixels, 1));
    const Tensor taps = own + at::arange(-(kernel / 2), kernel / 2 + 1, whole).unsqueeze(1);
    return (taps < 0) | (taps >= cells);
}

// gate passed + (1 - gate) carafe(de) is linear in the gate, so the gate goes where a pixel has few numbers: into
// carafe's K^2 weights, and into en before the aligner. Neither the output nor its gradient is gone through for it.

// (1 - gate) carafe(de, logits).
Tensor gated_carafe(const Tensor &de, Tensor logits, const Tensor &gate, int64_t kernel, const std::string &border) {
    if (border == "mask") {
        const Tensor rows = taps_outside(kernel, de.size(2), logits.size(2), logits),
                     columns = taps_outside(kernel, de.size(3), logits.size(3), logits);
        const Tensor outside = rows.unsqueeze(1).unsqueeze(3) | columns.unsqueeze(0).unsqueeze(2);
        logits = logits.masked_fill(outside.flatten(0, 1), -std::numeric_limits<double>::infinity());
    }
    const at::ScalarType type = at::promote_types(logits.scalar_type(), at::kFloat);
    const Tensor weights = at::softmax(logits, 1, type) * (1 - gate.to(type));
    return ops::carafe_reassembly(de, weights, kernel);
}

// up, which is written to, + gate conv(en), conv of 1 x 1: the product of gate en and its weight is added where up
// stands.
Tensor plus_projection(const Tensor &up, const Tensor &gate, const Tensor &en, const torch::nn::Conv2dImpl &conv) {
    Tensor weight = conv.weight.flatten(1), passed = gate * en;
    if (conv.bias.defined()) {
        weight = at::cat({weight, conv.bias.unsqueeze(1)}, 1);
        passed = at::cat({passed, gate}, 1);
    }
    const at::ScalarType type = at::promote_types(up.scalar_type(), passed.scalar_type());
    Tensor sums = up.to(type).flatten(2);
    const Tensor weights = weight.to(type).expand({en.size(0), -1, -1});
    passed = passed.to(type).flatten(2);
    sums = at::GradMode::is_enabled() ? sums.baddbmm(weights, passed) : sums.baddbmm_(weights, passed);
    return sums.unflatten(2, {en.size(2), en.size(3)});
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

// One convolution of x itself where that takes fewer multiply-adds.
Tensor SemiShiftImpl::encoded(Conv2d &compressor, const Tensor &x) {
    const bool is_h2l = content_encoder.is_empty();
    const Tensor &kernels = is_h2l ? conv2_kernels : content_encoder->weight;
    const Tensor &bias = is_h2l ? conv2_bias : content_encoder->bias;
    const int64_t taps = kernels.size(0), M = kernels.size(1), C = x.size(1);
    const bool plain = is_convolution(*compressor, 1) && (is_h2l || is_convolution(*content_encoder, 3));
    if (!plain || 9 * taps * C >= M * C + 9 * taps * M) {
        const Tensor compressed = compressor(x);
        return is_h2l ? at::conv2d(compressed, kernels, bias, 1, at::IntArrayRef{1}) : content_encoder(compressed);
    }
    // Contiguous: einsum's strides would have a convolution turn x and its result to channels_last.
    const Tensor merged = at::einsum("tmyx,mc->tcyx", {kernels, compressor->weight.flatten(1)}).contiguous();
    if (!compressor->bias.defined()) {
        return at::conv2d(x, merged, bias, 1, at::IntArrayRef{1});
    }
    // The compressor's bias counts only inside the map: of every tap, in the rows and the columns where it lies inside.
    const Tensor of_bias = at::einsum("tmyx,m->tyx", {kernels, compressor->bias});
    const Tensor rows = taps_inside(x.size(2), x), columns = taps_inside(x.size(3), x);
    return at::conv2d(x, merged, bias, 1, at::IntArrayRef{1}).add_(at::matmul(rows.t(), at::matmul(of_bias, columns)));
}

Tensor SemiShiftImpl::forward(const Tensor &en, const Tensor &de) {
    check_own_class("FADE", "a compressor", *compressor_en);
    check_own_class("FADE", "a compressor", *compressor_de);
    if (!content_encoder.is_empty()) {
        check_own_class("FADE", "content_encoder", *content_encoder);
    }
    return encoded(compressor_en, en) + upsampled(encoded(compressor_de, de), en);
}

FADEImpl::FADEImpl(FADEOptions given) : options(std::move(given)) {
    if (options.scale()) {
        check_least("FADE", "scale", *options.scale(), 1);
    }
    check_kernel("FADE", "up_kernel_size", options.up_kernel_size(), kernels("carafe"));
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
    const Tensor logits = ker_generator(en, de);
    if (gate_generator.is_empty()) {
        return ops::carafe(de, logits, options.up_kernel_size(), 1, options.border());
    }
    const Tensor gate = upsampled(at::sigmoid(gate_generator(de)), en);
    const Tensor up = gated_carafe(de, logits, gate, options.up_kernel_size(), options.border());
    if (aligner.is_empty()) {
        return up + gate * en;
    }
    check_own_class("FADE", "conv", *aligner->conv);
    return is_convolution(*aligner->conv, 1) ? plus_projection(up, gate, en, *aligner->conv) : up + gate * aligner(en);
}

}  // namespace upwell::nn
