// ReSFU.
#include "resfu.h"

#include <array>
#include <cmath>

#include "../operators.h"
#include "check.h"
#include "initial.h"
#include "norm.h"

namespace upwell::nn {
namespace {

bool same(Ratio a, Ratio b) {
    return a.high * b.low == b.high * a.low;
}

}  // namespace

ReSFUImpl::ReSFUImpl(ReSFUOptions given) : options(std::move(given)) {
    check_kernel("ReSFU", "kernel_size", options.kernel_size(), kernels("fns"));
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
                          .layout(options.layout())
                          .keep_mib(options.keep_mib());
    semantic_scores = register_module("semantic_scores", PCDCBlock(pcdc));
    detail_scores = register_module("detail_scores", PCDCBlock(pcdc));
    apply(small_convolutions);
}

at::Tensor ReSFUImpl::forward(const at::Tensor &y, const at::Tensor &x) {
    check_map("ReSFU", "y", y, options.dim_y());
    check_map("ReSFU", "x", x, options.dim_x());
    check_same_batch("ReSFU", "x", x, "y", y);
    const int64_t H = y.size(2), W = y.size(3);
    const std::array<Ratio, 2> true_ratio = {Ratio{H, x.size(2)}, Ratio{W, x.size(3)}};
    const double scale = options.scale_factor().value_or(0.5);
    const bool published = scale == std::floor(scale);
    const Ratio integer = {static_cast<int64_t>(scale), 1};
    const std::array<Ratio, 2> spread = published ? std::array<Ratio, 2>{integer, integer} : true_ratio;
    const bool follows_size = same(spread[0], true_ratio[0]) && same(spread[1], true_ratio[1]);

    const at::Tensor query = q ? project_normalised("ReSFU", q, norm_y, y) : norm_y ? norm_y->forward(y) : y;
    const at::Tensor key = project_normalised("ReSFU", k, norm_x, x);
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
