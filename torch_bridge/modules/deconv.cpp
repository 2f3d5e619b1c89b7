// Deconvolution.
#include "deconv.h"

#include <optional>

#include <ATen/ops/conv_transpose2d.h>
#include <torch/nn/modules/conv.h>

#include "check.h"

namespace upwell::nn {

DeconvImpl::DeconvImpl(DeconvOptions given) : options(std::move(given)) {
    check_least("Deconv", "in_channels", options.in_channels(), 1);
    check_least("Deconv", "out_channels", options.out_channels(), 1);
    check_least("Deconv", "stride", options.stride(), 1);
    check_least("Deconv", "kernel_size", options.kernel_size(), 1);
    TORCH_CHECK(options.stride() > 1 || options.kernel_size() % 2 == 1,
                "Deconv: kernel_size should be odd where stride is 1 but is ", options.kernel_size());
    check_divides("Deconv", "groups", options.groups(), "in_channels", options.in_channels());
    check_divides("Deconv", "groups", options.groups(), "out_channels", options.out_channels());
    reset();
}

// With torch's initial values.
void DeconvImpl::reset() {
    const torch::nn::ConvTranspose2d layer(
        torch::nn::ConvTranspose2dOptions(options.in_channels(), options.out_channels(), options.kernel_size())
            .stride(options.stride())
            .groups(options.groups())
            .bias(options.bias()));
    weight = register_parameter("weight", layer->weight);
    bias = register_parameter("bias", layer->bias, options.bias());
}

at::Tensor DeconvImpl::forward(const at::Tensor &x) {
    check_map("Deconv", "x", x, options.in_channels());
    const int64_t r = options.stride(), K = options.kernel_size();
    // (h - 1) r - 2 padding + K + more = r h, and more is as small as it can be.
    const int64_t padding = std::max<int64_t>(0, (K - r + 1) / 2), more = 2 * padding + r - K;
    return at::conv_transpose2d(x, weight, bias.defined() ? std::optional(bias) : std::nullopt, {r, r},
                                {padding, padding}, {more, more}, options.groups());
}

}  // namespace upwell::nn
