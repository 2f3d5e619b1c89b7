// Paired central difference convolution.
#include "pcdc.h"

#include <ATen/autocast_mode.h>
#include <ATen/ops/conv2d.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/outer.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <torch/nn/init.h>
#include <torch/nn/modules/activation.h>

#include "../operators.h"
#include "../pad.h"
#include "../per_channel.h"
#include "check.h"
#include "difference.h"
#include "grid/gaussian.h"
#include "layer.h"

namespace upwell::nn {
namespace {

constexpr int64_t hidden_channels = 128;

// The tensor's value, its gradient times factor.
at::Tensor scale_gradient(const at::Tensor &tensor, double factor) {
    if (factor == 1) {
        return tensor;
    }
    const at::Tensor fixed = tensor.detach();
    return fixed + factor * (tensor - fixed);
}

// The 3x3 Gaussian (sigma 1, replicate border) of every channel.
at::Tensor gaussian3(const at::Tensor &x) {
    const double side = gaussian_side(true);
    const at::Tensor profile = at::tensor({side, 1 - 2 * side, side}, x.options());
    const int64_t channels = x.size(1);
    return at::conv2d(bridge::replicate_pad(x, 1, 1), at::outer(profile, profile).expand({channels, 1, 3, 3}), {}, 1,
                      at::IntArrayRef{0}, 1, channels);
}

}  // namespace

PCDCBlockImpl::PCDCBlockImpl(PCDCBlockOptions given) : options(std::move(given)) {
    TORCH_CHECK(options.layout() == "published" || options.layout() == "paper",
                "PCDCBlock: layout should be 'published' or 'paper' but is '", options.layout(), "'");
    check_odd("PCDCBlock", "kernel_size", options.kernel_size());
    check_divides("PCDCBlock", "groups", options.groups(), "in_channels", options.in_channels());
    check_divides("PCDCBlock", "groups", options.groups(), "the smallest layout's channels", 32);
    check_divides("PCDCBlock", "gn_dim", options.gn_dim(), "in_channels", options.in_channels());
    check_divides("PCDCBlock", "gn_dim", options.gn_dim(), "the hidden channels", hidden_channels);
    reset();
}

void PCDCBlockImpl::reset() {
    using namespace torch::nn;
    const bool published = options.layout() == "published";
    const int64_t K = options.kernel_size(), L = published ? 128 : 32;  // the paper's text says 32, its code 128
    norm = register_module("norm", GroupNorm(GroupNormOptions(options.gn_dim(), options.in_channels())));
    Sequential compressor;
    if (published) {
        compressor->push_back(ReLU());
    }
    compressor->push_back(Conv2d(Conv2dOptions(L, hidden_channels, 1).groups(options.groups())));
    compressor->push_back(ReLU());
    compressor->push_back(GroupNorm(GroupNormOptions(options.gn_dim(), hidden_channels)));
    compressor->push_back(Conv2d(Conv2dOptions(hidden_channels, K * K, 1)));
    channel_compressor = register_module("channel_compressor", compressor);
    weight = register_parameter("weight", at::empty({L, options.in_channels() / options.groups(), K, K}));
    bias = register_parameter("bias", at::zeros({1, L, 1, 1}));
    init::kaiming_normal_(weight, 0, torch::kFanOut, torch::kReLU);
}

at::Tensor PCDCBlockImpl::forward(const at::Tensor &k, const at::Tensor &q, Ratio rows, Ratio columns, bool blur) {
    return scores(k, q, std::array<Ratio, 2>{rows, columns}, blur);
}

at::Tensor PCDCBlockImpl::forward_low_res(const at::Tensor &k, const at::Tensor &q) {
    return scores(k, q, std::nullopt, false);
}

at::Tensor PCDCBlockImpl::scaled(const at::Tensor &parameter) const {
    return scale_gradient(parameter, options.lr_mult());
}

// The compressor's layers with parameters, where all of the block's are as reset() makes them and may be read instead
// of called.
std::optional<PCDCBlockImpl::Layers> PCDCBlockImpl::plain_layers() const {
    using namespace torch::nn;
    const auto is_norm = [&](const GroupNormImpl &layer) {
        return layer.options.affine() && layer.options.num_groups() == options.gn_dim() && layer.options.eps() == 1e-5;
    };
    const auto is_pointwise = [](const Conv2dImpl &layer, int64_t groups) {
        return is_convolution(layer, 1, groups) && layer.bias.defined();
    };
    const auto &layers = *channel_compressor;
    const size_t begin = options.layout() == "published" ? 1 : 0;
    if (layers.size() != begin + 4) {
        return std::nullopt;
    }
    const auto *first = own_class<Conv2dImpl>(*layers[begin]), *last = own_class<Conv2dImpl>(*layers[begin + 3]);
    const auto *middle = own_class<GroupNormImpl>(*layers[begin + 2]);
    const bool activations = (begin == 0 || own_class<ReLUImpl>(*layers[0])) && own_class<ReLUImpl>(*layers[begin + 1]);
    const bool plain = activations && first && middle && last && is_norm(*norm) && is_norm(*middle) &&
                       is_pointwise(*first, options.groups()) && is_pointwise(*last, 1);
    return plain ? std::optional<Layers>({*first, *middle, *last}) : std::nullopt;
}

at::Tensor PCDCBlockImpl::scores(const at::Tensor &k, const at::Tensor &q, std::optional<std::array<Ratio, 2>> ratio,
                                 bool blur) {
    check_own_class("PCDCBlock", "norm", *norm);
    const std::optional<Layers> layers = plain_layers();
    if (!layers) {
        return composed(k, q, ratio, blur);
    }
    const auto &[first, middle, last] = *layers;
    // The norm's bias cancels; naming it gives it the gradient 0 that optimisers expect.
    const at::Tensor offset = scaled(bias).flatten() + 0 * norm->bias.sum();
    std::vector<c10::SymInt> apart;
    for (const Ratio &axis : ratio.value_or(std::array<Ratio, 2>{})) {
        apart.insert(apart.end(), {axis.high, axis.low});
    }
    return ops::pcdc_scores(k, q, scaled(norm->weight), scaled(weight), offset, scaled(first.weight),
                            scaled(first.bias), scaled(middle.weight), scaled(middle.bias), scaled(last.weight),
                            scaled(last.bias), options.groups(), options.gn_dim(),
                            ratio ? at::OptionalSymIntArrayRef(apart) : std::nullopt, options.layout() == "published",
                            blur, options.keep_mib());
}

// norm of a map with these statistics; the gradients of its parameters times lr_mult.
at::Tensor PCDCBlockImpl::normalised(const at::Tensor &x, const std::tuple<at::Tensor, at::Tensor> &statistics) const {
    const auto at_pixels = [](const at::Tensor &values) { return values.unsqueeze(-1).unsqueeze(-1); };
    const auto [mean, rstd] = statistics;
    const at::Tensor y =
        (x - at_pixels(bridge::per_channel(mean, x.size(1)))) * at_pixels(bridge::per_channel(rstd, x.size(1)));
    return norm->options.affine() ? y * at_pixels(scaled(norm->weight)) + at_pixels(scaled(norm->bias)) : y;
}

// scores with the compressor called, as under no autocast.
at::Tensor PCDCBlockImpl::composed(const at::Tensor &given_k, const at::Tensor &given_q,
                                   std::optional<std::array<Ratio, 2>> ratio, bool blur) {
    TORCH_CHECK(options.lr_mult() != 0, "PCDCBlock: lr_mult should not be 0 where layers have to be called");
    const c10::impl::ExcludeDispatchKeyGuard no_autocast(c10::autocast_dispatch_keyset);
    const auto dtype = bias.scalar_type();
    const at::Tensor q = given_q.to(dtype);
    const at::Tensor k = blur ? gaussian3(given_k.to(dtype)) : given_k.to(dtype);
    const int64_t groups = norm->options.num_groups();
    const double eps = norm->options.eps();
    const Difference difference{scaled(weight), scaled(bias), options.groups()};
    const at::Tensor query = normalised(q, ops::group_stats(q, groups, eps));
    const at::Tensor v =
        ratio ? difference.of_map(normalised(k, ops::group_stats(k, groups, eps)), query, (*ratio)[0], (*ratio)[1])
              : difference.of_low_res(normalised(k, ops::upsampled_group_stats(k, q.sym_sizes().slice(2), groups, eps)),
                                      query);
    return scaled(channel_compressor->forward(scale_gradient(v, 1 / options.lr_mult())));
}

}  // namespace upwell::nn
