// LCTC.
#include "lctc.h"

#include <algorithm>
#include <array>

#include <ATen/ops/conv_transpose2d.h>

#include "../operators.h"
#include "check.h"
#include "layer.h"

namespace upwell::nn {

// Channels of a group up to which Upwell's convolution is the faster one (python/upwell/nn/lctc.py).
constexpr int64_t most_of_group = 8;

LCTCImpl::LCTCImpl(LCTCOptions given) : options(std::move(given)) {
    check_odd("LCTC", "kernel_size", options.kernel_size());
    TORCH_CHECK(options.stride() >= 1, "LCTC: stride should be a positive integer but is ", options.stride());
    check_divides("LCTC", "groups", options.groups(), "in_channels", options.in_channels());
    check_divides("LCTC", "groups", options.groups(), "out_channels", options.out_channels());
    if (const std::optional<int64_t> small_kernel = options.small_kernel()) {
        check_odd("LCTC", "small_kernel", *small_kernel);
        TORCH_CHECK(*small_kernel <= options.kernel_size(), "LCTC: small_kernel should be at most kernel_size ",
                    options.kernel_size(), " but is ", *small_kernel);
    }
    reset();
}

void LCTCImpl::reset() {
    const auto branch = [&](const char *name, int64_t kernel) {
        return register_module(
            name, torch::nn::ConvTranspose2d(
                      torch::nn::ConvTranspose2dOptions(options.in_channels(), options.out_channels(), kernel)
                          .stride(options.stride())
                          .padding((kernel - 1) / 2)
                          .output_padding(options.stride() - 1)
                          .groups(options.groups())
                          .bias(options.bias())));
    };
    large = branch("large", options.kernel_size());
    if (options.small_kernel()) {
        small = branch("small", *options.small_kernel());
    }
}

// Whether a branch is what reset() makes, and may be read instead of called.
bool LCTCImpl::is_plain(const torch::nn::ConvTranspose2dImpl &branch, int64_t kernel) const {
    const auto &o = branch.options;
    const auto *padding = std::get_if<torch::ExpandingArray<2>>(&o.padding());
    const int64_t r = options.stride();
    return o.in_channels() == options.in_channels() && o.out_channels() == options.out_channels() &&
           o.groups() == options.groups() && are(o.kernel_size(), kernel) && are(o.stride(), r) && padding &&
           are(*padding, (kernel - 1) / 2) && are(o.output_padding(), r - 1) && are(o.dilation(), 1) &&
           branch.bias.defined() == options.bias();
}

at::Tensor LCTCImpl::forward(const at::Tensor &x) {
    check_map("LCTC", "x", x, options.in_channels());
    check_own_class("LCTC", "large", *large);
    bool plain = is_plain(*large, options.kernel_size());
    if (!small.is_empty()) {
        check_own_class("LCTC", "small", *small);
        plain = plain && is_plain(*small, options.small_kernel().value_or(0));
    }
    if (!plain) {
        return small.is_empty() ? large(x) : large(x) + small(x);
    }
    at::Tensor weight = large->weight, bias = large->bias;
    if (!small.is_empty()) {
        weight = ops::merge_kernels(weight, small->weight);
        bias = options.bias() ? bias + small->bias : bias;
    }
    const int64_t r = options.stride(), padding = (options.kernel_size() - 1) / 2, groups = options.groups();
    const std::array<int64_t, 2> stride{r, r}, border{padding, padding}, more{r - 1, r - 1};
    const auto given_bias = bias.defined() ? std::optional(bias) : std::nullopt;
    if (std::max(options.in_channels(), options.out_channels()) <= most_of_group * groups) {
        return ops::transposed_conv(x, weight, given_bias, stride, border, more, groups);
    }
    return at::conv_transpose2d(x, weight, given_bias, stride, border, more, groups);
}

}  // namespace upwell::nn
