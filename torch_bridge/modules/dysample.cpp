// DySample.
#include "dysample.h"

#include <ATen/ops/add.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/stack.h>
#include <torch/nn/init.h>

#include "../operators.h"
#include "check.h"
#include "layer.h"
#include "pixel_shuffle.h"

namespace upwell::nn {
namespace {

using at::Tensor;

// Where the pixels of a cell lie, from its centre: along x, then along y, for every group.
Tensor sub_pixels(int64_t r, int64_t groups) {
    const Tensor places = (at::arange(r, at::kFloat) - (r - 1) / 2.0) / r;
    const Tensor both = at::stack({places.expand({r, r}), places.unsqueeze(1).expand({r, r})});
    return both.unsqueeze(1).repeat({1, groups, 1, 1}).reshape({1, -1, 1, 1});
}

}  // namespace

DySampleImpl::DySampleImpl(DySampleOptions given) : options(std::move(given)) {
    check_least("DySample", "in_channels", options.in_channels(), 1);
    check_least("DySample", "scale", options.scale(), 1);
    check_choice("DySample", "style", options.style(), {"lp", "pl"});
    check_divides("DySample", "groups", options.groups(), "in_channels", options.in_channels());
    const int64_t pixels = options.scale() * options.scale();
    TORCH_CHECK(options.style() == "lp" || options.in_channels() % pixels == 0,
                "DySample: in_channels should be a multiple of ", pixels, " for style 'pl' but is ",
                options.in_channels());
    reset();
}

void DySampleImpl::reset() {
    const int64_t C = options.in_channels(), G = options.groups(), pixels = options.scale() * options.scale();
    const bool is_high = options.style() == "pl";
    const auto convolution = [&](const char *name, bool bias) {
        torch::nn::Conv2dOptions o(is_high ? C / pixels : C, is_high ? 2 * G : 2 * G * pixels, 1);
        return register_module(name, torch::nn::Conv2d(o.bias(bias)));
    };
    offset = convolution("offset", true);
    torch::nn::init::normal_(offset->weight, 0, 0.001);
    torch::nn::init::zeros_(offset->bias);
    if (options.dyscope()) {
        scope = convolution("scope", false);
        torch::nn::init::zeros_(scope->weight);
    }
    init_pos = register_buffer("init_pos", sub_pixels(options.scale(), G));
}

Tensor DySampleImpl::forward(const Tensor &x) {
    check_map("DySample", "x", x, options.in_channels());
    check_own_class("DySample", "offset", *offset);
    const int64_t r = options.scale(), N = x.size(0), h = x.size(2), w = x.size(3), channels = 2 * options.groups();
    const bool is_high = options.style() == "pl";
    const Tensor source = is_high ? shuffle_pixels(x, r) : x;
    Tensor offsets = offset(source);
    if (!scope.is_empty()) {
        check_own_class("DySample", "scope", *scope);
        offsets = offsets * at::sigmoid(scope(source));
    }
    const double reach = scope.is_empty() ? 0.25 : 0.5;
    offsets = offsets.to(at::promote_types(offsets.scalar_type(), at::kFloat));
    if (is_high) {
        const Tensor cells = offsets.reshape({N, channels, h, r, w, r});
        const Tensor places = init_pos.reshape({1, channels, 1, r, 1, r});
        offsets = at::add(places, cells, reach).reshape({N, channels, r * h, r * w});
    } else {
        offsets = at::add(init_pos, offsets, reach);
    }
    return ops::sample_at_offsets(x, offsets, r, options.groups(), is_high);
}

}  // namespace upwell::nn
