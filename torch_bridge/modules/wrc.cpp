// WRC.
#include "wrc.h"

#include <algorithm>
#include <cmath>

#include <ATen/ops/conv2d.h>
#include <ATen/ops/log1p.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/softplus.h>
#include <ATen/ops/upsample_bilinear2d.h>
#include <ATen/ops/zeros.h>

#include "../operators.h"
#include "check.h"
#include "layer.h"
#include "pad.h"

namespace upwell::nn {

WRCImpl::WRCImpl(WRCOptions given) : options(std::move(given)) {
    check_least("WRC", "channels", options.channels(), 1);
    check_least("WRC", "kernel_size", options.kernel_size(), 1);
    check_least("WRC", "scale", options.scale(), 1);
    check_least("WRC", "padding", options.padding(), 0);
    check_least("WRC", "max_iterations", options.max_iterations(), 1);
    check_choice("WRC", "padding_mode", options.padding_mode(), {"circular", "constant", "reflect", "replicate"});
    check_choice("WRC", "solver", options.solver(), {"spectral", "exact"});
    check_choice("WRC", "centre", options.centre(), {"image", "kernel"});
    TORCH_CHECK(options.eps() > 0 && std::isfinite(options.eps()), "WRC: eps should be positive and finite but is ",
                options.eps());
    TORCH_CHECK(options.tolerance() >= 0 && options.tolerance() < 1, "WRC: tolerance should be in 0 .. 1 but is ",
                options.tolerance());
    reset();
}

void WRCImpl::reset() {
    const int64_t C = options.channels(), K = options.kernel_size();
    weight = register_parameter("weight", at::randn({1, C, K * K}).softmax(-1).view({1, C, K, K}));
    bias = register_parameter("bias", at::zeros({1, C, 1, 1}));
    const auto convolution = torch::nn::Conv2dOptions(C, C, 3).padding(1).bias(false);
    w_conv_low = register_module("w_conv_low", torch::nn::Conv2d(convolution));
    w_conv_high = register_module("w_conv_high", torch::nn::Conv2d(convolution));
}

// What mixes channels runs at low resolution, tap by tap; a convolution that is no longer what reset() makes takes the
// upsampled map.
std::tuple<at::Tensor, at::Tensor> WRCImpl::prior(const at::Tensor &x, const at::Tensor &lam) {
    const int64_t C = options.channels(), scale = options.scale();
    const at::Tensor &kernel = w_conv_high->weight;
    if (is_convolution(*w_conv_high, 3) && !w_conv_high->bias.defined() && kernel.size(0) == C) {
        return ops::wrc_prior(x, at::conv2d(x, kernel.permute({0, 2, 3, 1}).reshape({9 * C, C, 1, 1})), lam, scale);
    }
    const at::Tensor high = at::upsample_bilinear2d(x, {scale * x.size(2), scale * x.size(3)}, true);
    const at::Tensor precision = at::log1p(w_conv_high(high).square()) + lam.view({C, 1, 1});
    return {precision, precision * high};
}

at::Tensor WRCImpl::forward(const at::Tensor &x) {
    const int64_t C = options.channels(), scale = options.scale(), padding = options.padding();
    check_map("WRC", "x", x, C);
    check_own_class("WRC", "w_conv_low", *w_conv_low);
    check_own_class("WRC", "w_conv_high", *w_conv_high);
    TORCH_CHECK(options.padding_mode() != "reflect" || padding < std::min(x.size(2), x.size(3)),
                "WRC: padding should be smaller than the map to reflect it but is ", padding, " for x ", x.sizes());
    const at::Tensor padded = pad(x, padding, options.padding_mode());
    const auto [data_weight, weighted_data] = ops::wrc_data(padded, w_conv_low(padded));
    const at::Tensor lam = at::softplus(bias).flatten() + options.eps();
    const auto [precision, weighted] = prior(padded, lam);
    at::Tensor output =
        options.solver() == "exact"
            ? ops::wrc_exact(precision, weighted, data_weight, padded, weight[0], scale, options.tolerance(),
                             options.max_iterations())
            : ops::wrc_spectral(precision, weighted, data_weight, weighted_data, weight[0], scale, options.centre());
    if (options.solver() == "exact" && padding == 0 && output.requires_grad()) {
        output = output.clone();  // its gradient keeps it, and a caller may write into ours
    }
    const int64_t start = scale * padding;
    return output.narrow(2, start, scale * x.size(2)).narrow(3, start, scale * x.size(3)).contiguous();
}

}  // namespace upwell::nn
