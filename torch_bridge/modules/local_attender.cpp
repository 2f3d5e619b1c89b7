// UPLiFT's local attender.
#include "local_attender.h"

#include <ATen/ops/constant_pad_nd.h>

#include "../operators.h"
#include "check.h"
#include "layer.h"

namespace upwell::nn {

using at::Tensor;

LocalAttenderImpl::LocalAttenderImpl(LocalAttenderOptions given) : options(std::move(given)) {
    check_least("LocalAttender", "in_channels", options.in_channels(), 1);
    constexpr std::array known{5, 9, 13, 17, 25};
    TORCH_CHECK(std::find(known.begin(), known.end(), options.num_connected()) != known.end(),
                "LocalAttender: num_connected should be one of 5, 9, 13, 17, 25 but is ", options.num_connected());
    reset();
}

void LocalAttenderImpl::reset() {
    conv1 = register_module(
        "conv1", torch::nn::Conv2d(torch::nn::Conv2dOptions(options.in_channels(), options.num_connected(), 1)));
}

Tensor LocalAttenderImpl::forward(const Tensor &guide, const Tensor &value) {
    check_map("LocalAttender", "guide", guide, options.in_channels());
    check_any_map("LocalAttender", "value", value);
    check_same_batch("LocalAttender", "guide", guide, "value", value);
    check_own_class("LocalAttender", "conv1", *conv1);
    TORCH_CHECK(guide.size(2) % value.size(2) == 0 && guide.size(3) % value.size(3) == 0,
                "LocalAttender: guide should have multiples of ", value.size(2), " rows and ", value.size(3),
                " columns but is ", guide.sizes());
    Tensor logits = conv1->forward(guide);
    if (options.conv_res()) {
        const int64_t connected = options.num_connected(), channels = options.in_channels();
        const Tensor first = guide.narrow(1, 0, std::min(connected, channels));
        logits = logits + at::constant_pad_nd(first, {0, 0, 0, 0, 0, std::max<int64_t>(0, connected - channels)});
    }
    return ops::local_attention(value, logits);
}

}  // namespace upwell::nn
