// PixelShuffle.
#include "pixel_shuffle.h"

#include <ATen/ops/pixel_shuffle.h>

#include "check.h"
#include "layer.h"

namespace upwell::nn {

at::Tensor shuffle_pixels(const at::Tensor &x, int64_t scale) {
    if (x.size(0) == 0) {
        return x.reshape({0, x.size(1) / (scale * scale), scale * x.size(2), scale * x.size(3)});
    }
    return at::pixel_shuffle(x, scale);
}

PixelShuffleImpl::PixelShuffleImpl(PixelShuffleOptions given) : options(std::move(given)) {
    check_least("PixelShuffle", "channels", options.channels(), 1);
    check_least("PixelShuffle", "scale_factor", options.scale_factor(), 1);
    check_least("PixelShuffle", "out_channels", options.out_channels(), 1);
    check_odd("PixelShuffle", "kernel_size", options.kernel_size());
    reset();
}

void PixelShuffleImpl::reset() {
    const int64_t K = options.kernel_size(), r = options.scale_factor();
    convolution = register_module(
        "0", torch::nn::Conv2d(
                 torch::nn::Conv2dOptions(options.channels(), options.out_channels() * r * r, K).padding(K / 2)));
}

at::Tensor PixelShuffleImpl::forward(const at::Tensor &x) {
    check_map("PixelShuffle", "x", x, options.channels());
    check_own_class("PixelShuffle", "0", *convolution);
    return shuffle_pixels(convolution(x), options.scale_factor());
}

}  // namespace upwell::nn
