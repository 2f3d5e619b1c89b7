// AnyUp.
#include "anyup.h"

#include <algorithm>
#include <cmath>

#include <ATen/ops/cat.h>
#include <torch/nn/functional/normalization.h>

#include "../operators.h"
#include "check.h"
#include "encoder.h"
#include "filter_bank.h"

namespace upwell::nn {
namespace {

using at::Tensor;

constexpr int64_t aggregation_kernel = 3;  // of the layer that brings keys and features together

// x, or a 1x1 convolution of it where channels change, plus conv1x1(SiLU(GN(conv1x1(SiLU(GN(x)))))).
struct ResBlockImpl : torch::nn::Cloneable<ResBlockImpl> {
    ResBlockImpl(int64_t from, int64_t to) : in_channels(from), channels(to) { reset(); }

    void reset() override {
        block = register_module("block", Block(BlockOptions(in_channels, channels).numbered(true)));
        if (in_channels != channels) {
            shortcut = register_module("shortcut", ReflectConv2d(in_channels, channels, 1, false));
        }
    }

    Tensor forward(const Tensor &x) { return block(x) + (shortcut.is_empty() ? x : shortcut(x)); }

    int64_t in_channels, channels;
    Block block = nullptr;
    ReflectConv2d shortcut = nullptr;
};
TORCH_MODULE(ResBlock);

// first, whose output has between channels, and two blocks -> channels.
template<class First> torch::nn::Sequential encoder_behind(First first, int64_t between, int64_t channels) {
    return torch::nn::Sequential(std::move(first), ResBlock(between, channels), ResBlock(channels, channels));
}

void check_multiple_of_groups(const char *argument, int64_t value) {
    check_least("AnyUp", argument, value, 1);
    TORCH_CHECK(value % norm_groups == 0, "AnyUp: ", argument, " should be a multiple of ", norm_groups, " but is ",
                value);
}

}  // namespace

AnyUpImpl::AnyUpImpl(AnyUpOptions given) : options(std::move(given)) {
    check_least("AnyUp", "input_dim", options.input_dim(), 1);
    check_multiple_of_groups("qk_dim", options.qk_dim());
    check_multiple_of_groups("lfu_dim", options.lfu_dim().value_or(options.qk_dim()));
    check_odd("AnyUp", "kernel_size", options.kernel_size());
    check_odd("AnyUp", "kernel_size_lfu", options.kernel_size_lfu());
    TORCH_CHECK(options.kernel_size_lfu() > 1 || !options.init_gaussian_derivatives(),
                "AnyUp: kernel_size_lfu should be at least 3 for derivatives of a Gaussian but is 1");
    TORCH_CHECK(!std::isnan(options.window_ratio()), "AnyUp: window_ratio should be a number but is nan");
    check_divides("AnyUp", "num_heads", options.num_heads(), "qk_dim", options.qk_dim());
    reset();
}

void AnyUpImpl::reset() {
    const int64_t D = options.qk_dim(), filters = options.lfu_dim().value_or(D);
    const auto of_map = [&](const char *name, int64_t channels, int64_t kernel) {
        return register_module(name, encoder_behind(ReflectConv2d(channels, D, kernel, false), D, D));
    };
    image_encoder = of_map("image_encoder", options.input_dim(), options.kernel_size());
    key_encoder = of_map("key_encoder", D, 1);
    query_encoder = of_map("query_encoder", D, 1);
    FilterBank bank(filters, options.kernel_size_lfu(), options.init_gaussian_derivatives());
    key_features_encoder = register_module("key_features_encoder", encoder_behind(bank, filters, D));
    cross_decode = register_module("cross_decode", QueriesAndKeys(D, D));
    aggregation = of_map("aggregation", 2 * D, aggregation_kernel);
    rope = register_module("rope", LearnedRoPE(D));
}

Tensor AnyUpImpl::forward(const Tensor &image, const Tensor &features, at::OptionalIntArrayRef output_size) {
    check_map("AnyUp", "image", image, options.input_dim());
    check_any_map("AnyUp", "features", features);
    check_same_batch("AnyUp", "image", image, "features", features);
    check_reflects("AnyUp", "image", image, options.kernel_size());
    check_reflects("AnyUp", "features", features, aggregation_kernel);
    const at::IntArrayRef size = output_size.value_or(image.sizes().slice(2));
    check_size("AnyUp", "output_size", size);
    const Tensor encoded = rope(image_encoder->forward(image));
    const Tensor of_image = pool(key_encoder->forward(encoded), features.sizes().slice(2));
    const Tensor unit = torch::nn::functional::normalize(features);
    const Tensor of_both = aggregation->forward(at::cat({of_image, key_features_encoder->forward(unit)}, 1));
    const auto [query, key] = cross_decode(pool(query_encoder->forward(encoded), size), of_both);
    const double ratio = std::max(options.window_ratio(), 0.0);
    return ops::cross_attention(query, key, features, options.num_heads(), ratio > 0 ? "ratio" : "whole", {0, 0}, ratio,
                                true);
}

}  // namespace upwell::nn
