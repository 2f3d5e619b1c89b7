// Paired central difference convolution.
#include "pcdc.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/convolution.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/group_norm.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros.h>
#include <torch/nn/init.h>
#include <torch/nn/modules/activation.h>

#include "../operators.h"
#include "check.h"
#include "pad.h"

namespace upwell::nn {
namespace {

constexpr int64_t hidden_channels = 128;
constexpr double norm_eps = 1e-5;  // torch's own

// Mean and 1/sqrt(variance + eps) of each sample and group of x N,D,H,W, as N,D,1,1.
std::pair<at::Tensor, at::Tensor> group_statistics(const at::Tensor &x, int64_t groups) {
    const int64_t each = x.size(1) / groups;
    const at::Tensor grouped = x.unflatten(1, {groups, each});
    const at::Tensor mean = grouped.mean({2, 3, 4}, true);
    const at::Tensor rstd = ((grouped - mean).square().mean({2, 3, 4}, true) + norm_eps).rsqrt();
    const auto per_channel = [&](const at::Tensor &s) { return s.expand({-1, -1, each, 1, 1}).flatten(1, 2); };
    return {per_channel(mean), per_channel(rstd)};
}

// H,h + 2: the weight of each of the pixels -1 .. h in a row of the upsampled map, 1 - |u(p) - pixel|.
at::Tensor interpolation(const at::Tensor &like, int64_t h, int64_t H) {
    const auto integers = at::TensorOptions(at::kLong).device(like.device());
    const at::Tensor twice_u = (2 * at::arange(H, integers) + 1) * h - H;  // 2 H u(p)
    const at::Tensor distance = (twice_u.unsqueeze(1) - 2 * H * at::arange(-1, h + 1, integers)).abs();
    return (1 - distance.to(like.scalar_type()) / static_cast<double>(2 * H)).clamp_min(0);
}

// Bilinear upsampling of a map known one pixel beyond its border: low N,L,h + 2,w + 2 -> N,L,H,W.
at::Tensor upsample_beyond_border(const at::Tensor &low, int64_t H, int64_t W) {
    const int64_t h = low.size(2) - 2, w = low.size(3) - 2;
    if (H % h == 0 && W % w == 0) {
        const int64_t rows = H / h, columns = W / w;
        const at::Tensor whole = ops::bilinear(low, std::array<c10::SymInt, 2>{H + 2 * rows, W + 2 * columns});
        return whole.narrow(2, rows, H).narrow(3, columns, W);
    }
    return at::matmul(at::matmul(interpolation(low, h, H), low), interpolation(low, w, W).t());
}

at::Tensor convolve(const at::Tensor &x, const at::Tensor &weight, const std::optional<at::Tensor> &bias,
                    int64_t groups, at::IntArrayRef dilation = {1, 1}) {
    return at::convolution(x, weight, bias, {1, 1}, {0, 0}, dilation, false, {0, 0}, groups);
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

at::Tensor PCDCBlockImpl::forward(const at::Tensor &k, const at::Tensor &q, Ratio rows, Ratio columns) {
    const at::Tensor normal = at::group_norm(k, options.gn_dim(), scaled(norm->weight), {}, norm_eps);
    return scores(spread_convolution(normal, rows, columns), q);
}

at::Tensor PCDCBlockImpl::forward_low_res(const at::Tensor &k, const at::Tensor &k_up, const at::Tensor &q) {
    const auto [mean, rstd] = group_statistics(k_up, options.gn_dim());
    const at::Tensor normal = (k - mean) * rstd * scaled(norm->weight).view({-1, 1, 1});
    const int64_t around = options.kernel_size() / 2 + 1;
    const at::Tensor low = convolve(replicate_pad(normal, around, around), scaled(weight), {}, options.groups());
    return scores(upsample_beyond_border(low, q.size(2), q.size(3)), q);
}

// The parameter's value, its gradient times lr_mult.
at::Tensor PCDCBlockImpl::scaled(const at::Tensor &parameter) const {
    if (options.lr_mult() == 1) {
        return parameter;
    }
    const at::Tensor fixed = parameter.detach();
    return fixed + options.lr_mult() * (parameter - fixed);
}

// conv(k, weight) with taps one ratio apart, replicate border, bilinear where a tap is between pixels.
at::Tensor PCDCBlockImpl::spread_convolution(const at::Tensor &k, Ratio rows, Ratio columns) const {
    const int64_t radius = options.kernel_size() / 2;
    const at::Tensor w = scaled(weight);
    if (rows.high % rows.low == 0 && columns.high % columns.low == 0) {
        const int64_t down = rows.high / rows.low, across = columns.high / columns.low;
        return convolve(replicate_pad(k, radius * down, radius * across), w, {}, options.groups(), {down, across});
    }
    std::vector<at::Tensor> taps;
    for (int64_t y = -radius; y <= radius; y++) {
        const at::Tensor row = shift(k, 2, y * rows.high, rows.low);
        for (int64_t x = -radius; x <= radius; x++) {
            taps.push_back(shift(row, 3, x * columns.high, columns.low));
        }
    }
    const at::Tensor stacked = at::stack(taps, 2).flatten(1, 2);  // N,D * K*K,H,W
    return convolve(stacked, w.flatten(1).unsqueeze(-1).unsqueeze(-1), {}, options.groups());
}

// key N,L,H,W convolved already, q N,D,H,W -> scores N,K*K,H,W.
at::Tensor PCDCBlockImpl::scores(const at::Tensor &key, const at::Tensor &q) const {
    const at::Tensor normal = at::group_norm(q, options.gn_dim(), scaled(norm->weight), {}, norm_eps);
    const at::Tensor sums = scaled(weight).sum({2, 3}, true);
    // The norm's bias cancels; naming it gives it the gradient 0 that optimisers expect.
    const at::Tensor offset = scaled(bias).flatten() + 0 * norm->bias.sum();
    at::Tensor v = key + convolve(normal, -sums, offset, options.groups());
    if (options.layout() == "published") {
        v = v.relu_();
    }
    const size_t begin = channel_compressor->size() - 4;  // convolution, ReLU, norm, convolution
    const auto &first = channel_compressor->at<torch::nn::Conv2dImpl>(begin);
    const auto &middle = channel_compressor->at<torch::nn::GroupNormImpl>(begin + 2);
    const auto &last = channel_compressor->at<torch::nn::Conv2dImpl>(begin + 3);
    at::Tensor hidden = convolve(v, scaled(first.weight), scaled(first.bias), options.groups()).relu_();
    hidden = at::group_norm(hidden, options.gn_dim(), scaled(middle.weight), scaled(middle.bias), norm_eps);
    return convolve(hidden, scaled(last.weight), scaled(last.bias), 1);
}

}  // namespace upwell::nn
