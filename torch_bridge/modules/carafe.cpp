// CARAFE.
#include "carafe.h"

#include <torch/nn/init.h>

#include "../operators.h"
#include "check.h"
#include "layer.h"
#include "pixel_shuffle.h"

namespace upwell::nn {

CARAFEImpl::CARAFEImpl(CARAFEOptions given) : options(std::move(given)) {
    TORCH_CHECK(options.scale_factor() >= 1, "CARAFE: scale_factor should be a positive integer but is ",
                options.scale_factor());
    check_kernel("CARAFE", "up_kernel", options.up_kernel(), kernels("carafe"));
    check_odd("CARAFE", "encoder_kernel", options.encoder_kernel());
    check_divides("CARAFE", "up_group", options.up_group(), "channels", options.channels());
    check_choice("CARAFE", "border", options.border(), {"zero", "mask"});
    reset();
}

void CARAFEImpl::reset() {
    const int64_t K = options.up_kernel(), r = options.scale_factor(), dilation = options.encoder_dilation();
    const int64_t weights = K * K * options.up_group() * r * r;
    channel_compressor = register_module(
        "channel_compressor",
        torch::nn::Conv2d(torch::nn::Conv2dOptions(options.channels(), options.compressed_channels(), 1)));
    content_encoder = register_module(
        "content_encoder",
        torch::nn::Conv2d(torch::nn::Conv2dOptions(options.compressed_channels(), weights, options.encoder_kernel())
                              .padding((options.encoder_kernel() - 1) * dilation / 2)
                              .dilation(dilation)));
    torch::nn::init::xavier_uniform_(channel_compressor->weight);
    torch::nn::init::normal_(content_encoder->weight, 0, 0.001);
    torch::nn::init::zeros_(channel_compressor->bias);
    torch::nn::init::zeros_(content_encoder->bias);
}

at::Tensor CARAFEImpl::forward(const at::Tensor &x) {
    check_map("CARAFE", "x", x, options.channels());
    check_own_class("CARAFE", "channel_compressor", *channel_compressor);
    check_own_class("CARAFE", "content_encoder", *content_encoder);
    const at::Tensor code = content_encoder(channel_compressor(x));
    const at::Tensor logits = shuffle_pixels(code, options.scale_factor());
    return ops::carafe(x, logits, options.up_kernel(), options.up_group(), options.border());
}

}  // namespace upwell::nn
