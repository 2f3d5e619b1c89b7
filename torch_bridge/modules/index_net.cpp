// IndexNet.
#include "index_net.h"

#include <ATen/ops/avg_pool2d.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/stack.h>
#include <torch/nn/modules/activation.h>
#include <torch/nn/modules/batchnorm.h>

#include "../operators.h"
#include "check.h"
#include "layer.h"
#include "pixel_shuffle.h"

namespace upwell::nn {
namespace {

using at::Tensor;
using torch::nn::Conv2d;
using torch::nn::Conv2dOptions;

// N,C,r h,r w -> N,out,h,w, by a strided convolution.
Conv2d strided(const IndexBlockOptions &options, int64_t out, int64_t groups) {
    const int64_t r = options.scale_factor();
    const bool context = options.use_context();
    const int64_t kernel = !context ? r : r > 1 ? 2 * r : 3, padding = !context ? 0 : r > 1 ? (r + 1) / 2 : 1;
    return Conv2d(Conv2dOptions(options.inp(), out, kernel).stride(r).padding(padding).groups(groups).bias(false));
}

torch::nn::Sequential network(const IndexBlockOptions &options, int64_t hidden, int64_t out, int64_t groups) {
    if (!options.use_nonlinear()) {
        return torch::nn::Sequential(strided(options, out, groups));
    }
    return torch::nn::Sequential(strided(options, hidden, groups), torch::nn::BatchNorm2d(hidden), torch::nn::ReLU6(),
                                 Conv2d(Conv2dOptions(hidden, out, 1).groups(groups).bias(false)));
}

void check_index(const char *function, const char *argument, const Tensor &index, const Tensor &x) {
    TORCH_CHECK(x.dim() == 4, function, ": x should be [N, C, h, w] but is ", x.sizes());
    TORCH_CHECK(index.dim() == 4 && index.size(0) == x.size(0) && (index.size(1) == 1 || index.size(1) == x.size(1)),
                function, ": ", argument, " should be [", x.size(0), ", 1 or ", x.size(1), ", H, W] but is ",
                index.sizes());
}

// Of one dtype, as in torch's product.
Tensor unpooled(const Tensor &x, const Tensor &index, int64_t scale, int64_t groups) {
    const at::ScalarType type = at::promote_types(x.scalar_type(), index.scalar_type());
    return ops::index_unpool(x.to(type), index.to(type), scale, groups);
}

}  // namespace

IndexBlockImpl::IndexBlockImpl(IndexBlockOptions given) : options(std::move(given)) {
    check_least("IndexBlock", "inp", options.inp(), 1);
    check_least("IndexBlock", "scale_factor", options.scale_factor(), 1);
    check_choice("IndexBlock", "block", options.block(), {"holistic", "o2o", "m2o"});
    reset();
}

void IndexBlockImpl::reset() {
    const int64_t C = options.inp(), pixels = options.scale_factor() * options.scale_factor();
    networks.clear();
    if (options.block() != "holistic") {
        for (int64_t i = 1; i <= pixels; i++) {
            const int64_t groups = options.block() == "o2o" ? C : 1;
            networks.push_back(register_module("indexnet" + std::to_string(i), network(options, C, C, groups)));
        }
    } else if (options.use_nonlinear()) {
        networks.push_back(register_module("indexnet", network(options, 2 * C, pixels, 1)));
    } else {
        alone = register_module("indexnet", strided(options, pixels, 1));
    }
}

std::tuple<Tensor, Tensor> IndexBlockImpl::forward(const Tensor &en) {
    const Tensor decoder = decoder_cells(en);
    return {as_pixels(decoder.softmax(2)), as_pixels(decoder)};
}

Tensor IndexBlockImpl::as_pixels(const Tensor &cells) const {
    return shuffle_pixels(cells.flatten(1, 2), options.scale_factor());
}

Tensor IndexBlockImpl::decoder_cells(const Tensor &en) {
    const int64_t r = options.scale_factor();
    check_map("IndexBlock", "en", en, options.inp());
    TORCH_CHECK(en.size(2) % r == 0 && en.size(3) % r == 0, "IndexBlock: en should have a height and width that ", r,
                " divides but is ", en.sizes());
    std::vector<Tensor> numbers;  // of all pixels of a cell, or of one
    if (!alone.is_empty()) {
        check_own_class("IndexBlock", "indexnet", *alone);
        numbers.push_back(alone(en));
    }
    for (torch::nn::Sequential &network : networks) {
        numbers.push_back(network->forward(en));
    }
    const bool holistic = options.block() == "holistic";
    return at::sigmoid(holistic ? numbers[0].unsqueeze(1) : at::stack(numbers, 2));
}

IndexNetImpl::IndexNetImpl(IndexNetOptions given) : options(std::move(given)) {
    TORCH_CHECK(options.block() == "holistic" || options.guide_channels() == options.in_channels(),
                "IndexNet: guide_channels should be in_channels ", options.in_channels(), " for block '",
                options.block(), "' but is ", options.guide_channels());
    reset();
}

void IndexNetImpl::reset() {
    block = register_module("block", IndexBlock(IndexBlockOptions(options.guide_channels())
                                                    .block(options.block())
                                                    .use_nonlinear(options.use_nonlinear())
                                                    .use_context(options.use_context())
                                                    .scale_factor(options.scale_factor())));
}

Tensor IndexNetImpl::forward(const Tensor &guide, const Tensor &x) {
    check_map("IndexNet", "guide", guide, options.guide_channels());
    check_map("IndexNet", "x", x, options.in_channels());
    check_same_batch("IndexNet", "guide", guide, "x", x);
    check_multiple("IndexNet", "guide", guide, x, options.scale_factor());
    const Tensor cells = block->decoder_cells(guide);
    return unpooled(x, cells.flatten(1, 2), options.scale_factor(), cells.size(1));
}

Tensor index_pool(const Tensor &x, const Tensor &idx_en, int64_t scale_factor) {
    check_index("index_pool", "idx_en", idx_en, x);
    check_least("index_pool", "scale_factor", scale_factor, 1);
    TORCH_CHECK(idx_en.size(2) == x.size(2) && idx_en.size(3) == x.size(3) && x.size(2) % scale_factor == 0 &&
                    x.size(3) % scale_factor == 0,
                "index_pool: x should have idx_en's height and width ", idx_en.sizes().slice(2), ", which ",
                scale_factor, " should divide, but is ", x.sizes());
    return at::avg_pool2d(idx_en * x, scale_factor, {}, 0, false, true, 1);
}

Tensor index_unpool(const Tensor &x, const Tensor &idx_de) {
    check_index("index_unpool", "idx_de", idx_de, x);
    return unpooled(x, idx_de, 1, idx_de.size(1));
}

}  // namespace upwell::nn
