// ReSFU.
#include "resfu.h"

#include <array>
#include <cmath>

#include <ATen/ops/baddbmm.h>
#include <ATen/ops/matmul.h>
#include <torch/nn/init.h>

#include "../operators.h"
#include "../per_channel.h"
#include "check.h"
#include "layer.h"

namespace upwell::nn {
namespace {

// 32 groups, or one per channel below 32 (published); otherwise the largest divisor of channels up to 32.
torch::nn::GroupNorm published_group_norm(int64_t channels) {
    int64_t groups = 32;
    while (channels % groups != 0) {
        groups--;
    }
    return torch::nn::GroupNorm(torch::nn::GroupNormOptions(groups, channels));
}

// convolution(norm(x)); of a 1x1 convolution without the normalised map: the normalisation is affine once its
// statistics are known, so it goes into the weights, one set per sample.
at::Tensor project_normalised(const torch::nn::Conv2d &convolution, const torch::nn::GroupNorm &norm,
                              const at::Tensor &input) {
    check_own_class("ReSFU", "a projection", *convolution);
    if (!norm) {
        return convolution.ptr()->forward(input);
    }
    check_own_class("ReSFU", "a norm", *norm);
    if (!is_convolution(*convolution, 1) || !norm->options.affine()) {
        return convolution.ptr()->forward(norm.ptr()->forward(input));
    }
    // Under autocast too in the dtype of the parameters: 16 bits are too few for such weights.
    const c10::impl::ExcludeDispatchKeyGuard no_autocast(c10::autocast_dispatch_keyset);
    const at::Tensor x = input.to(convolution->weight.scalar_type());
    const int64_t groups = norm->options.num_groups();
    const auto [mean, rstd] = ops::group_stats(x, groups, norm->options.eps());
    const at::Tensor scale = norm->weight * bridge::per_channel(rstd, x.size(1)),
                     weight = convolution->weight.flatten(1);
    at::Tensor bias = at::matmul(norm->bias - scale * bridge::per_channel(mean, x.size(1)), weight.t());
    if (convolution->bias.defined()) {
        bias = bias + convolution->bias;
    }
    return at::baddbmm(bias.unsqueeze(2), weight * scale.unsqueeze(1), x.flatten(2))
        .unflatten(2, {x.size(2), x.size(3)});
}

void init_convolution(torch::nn::Module &module) {
    if (auto *convolution = module.as<torch::nn::Conv2d>()) {
        torch::nn::init::normal_(convolution->weight, 0, 0.02);
        if (convolution->bias.defined()) {
            torch::nn::init::zeros_(convolution->bias);
        }
    }
}

bool same(Ratio a, Ratio b) {
    return a.high * b.low == b.high * a.low;
}

}  // namespace

ReSFUImpl::ReSFUImpl(ReSFUOptions given) : options(std::move(given)) {
    check_odd("ReSFU", "kernel_size", options.kernel_size());
    TORCH_CHECK(options.radius() >= 0, "ReSFU: radius should be at least 0 but is ", options.radius());
    TORCH_CHECK(options.gf_scale() >= 1, "ReSFU: gf_scale should be at least 1 but is ", options.gf_scale());
    TORCH_CHECK(!options.scale_factor() || (*options.scale_factor() > 0 && std::isfinite(*options.scale_factor())),
                "ReSFU: scale_factor should be positive and finite or none but is ", *options.scale_factor());
    TORCH_CHECK(options.y_conv() || options.dim_y() == options.embedding_dim(),
                "ReSFU: without y_conv, dim_y should be embedding_dim ", options.embedding_dim(), " but is ",
                options.dim_y());
    reset();
}

void ReSFUImpl::reset() {
    using torch::nn::Conv2d;
    using torch::nn::Conv2dOptions;
    const int64_t D = options.embedding_dim();
    if (options.normx()) {
        norm_x = register_module("norm_x", published_group_norm(options.dim_x()));
    }
    if (options.normy()) {
        norm_y = register_module("norm_y", published_group_norm(options.dim_y()));
    }
    GF = register_module("GF",
                         GuidedFilter(options.radius(), options.eps(), D, options.gf_scale(), options.gf_centred()));
    if (options.y_conv()) {
        q = register_module("q", Conv2d(Conv2dOptions(options.dim_y(), D, 1).bias(options.qkv_bias())));
    }
    k = register_module("k", Conv2d(Conv2dOptions(options.dim_x(), D, 1).bias(options.qkv_bias())));
    const auto pcdc = PCDCBlockOptions(D)
                          .kernel_size(options.kernel_size())
                          .groups(options.groups())
                          .gn_dim(options.gn_dim())
                          .lr_mult(options.lr_mult())
                          .layout(options.layout());
    semantic_scores = register_module("semantic_scores", PCDCBlock(pcdc));
    detail_scores = register_module("detail_scores", PCDCBlock(pcdc));
    apply(init_convolution);
}

at::Tensor ReSFUImpl::forward(const at::Tensor &y, const at::Tensor &x) {
    check_map("ReSFU", "y", y, options.dim_y());
    check_map("ReSFU", "x", x, options.dim_x());
    TORCH_CHECK(x.size(0) == y.size(0), "ReSFU: x and y should have the same batch size but are ", x.sizes(), " and ",
                y.sizes());
    const int64_t H = y.size(2), W = y.size(3);
    const std::array<Ratio, 2> true_ratio = {Ratio{H, x.size(2)}, Ratio{W, x.size(3)}};
    const double scale = options.scale_factor().value_or(0.5);
    const bool published = scale == std::floor(scale);
    const Ratio integer = {static_cast<int64_t>(scale), 1};
    const std::array<Ratio, 2> spread = published ? std::array<Ratio, 2>{integer, integer} : true_ratio;
    const bool follows_size = same(spread[0], true_ratio[0]) && same(spread[1], true_ratio[1]);

    const at::Tensor query = q ? project_normalised(q, norm_y, y) : norm_y ? norm_y->forward(y) : y;
    const at::Tensor key = project_normalised(k, norm_x, x);
    const at::Tensor filtered = GF(query, key);
    const at::Tensor semantic = follows_size
                                    ? semantic_scores->forward_low_res(key, filtered)
                                    : semantic_scores->forward(ops::bilinear(key, std::array<c10::SymInt, 2>{H, W}),
                                                               filtered, spread[0], spread[1]);
    const at::Tensor detail = detail_scores->forward(query, query, spread[0], spread[1], true);
    const std::optional<int64_t> mask_ratio = follows_size ? std::nullopt : std::optional<int64_t>(integer.high);
    return ops::fns(x, semantic + detail, options.kernel_size(), mask_ratio);
}

}  // namespace upwell::nn
