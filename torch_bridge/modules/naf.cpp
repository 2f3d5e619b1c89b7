// NAF.
#include "naf.h"

#include <algorithm>
#include <array>
#include <cmath>

#include <ATen/ops/cat.h>

#include "../operators.h"
#include "check.h"
#include "dilated.h"
#include "encoder.h"

namespace upwell::nn {
namespace {

using at::Tensor;

constexpr int64_t semantic_kernel = 3;
constexpr int64_t most_pixels = 4;  // of the image per pixel of the output, along an axis

// Whether the published window is the shifted one. Throws where the published code has none.
bool ratios_are_whole(const Tensor &features, at::IntArrayRef size, int64_t K) {
    bool whole = true;
    for (const int64_t axis : {0, 1}) {
        const int64_t m = size[axis], n = features.size(2 + axis);
        TORCH_CHECK(m >= n && K * (m / n) <= m, "NAF: output_size should be at least features' size and ", K,
                    " times its floored ratio to that, for the published window, but is ", size, " for features ",
                    features.sizes());
        whole = whole && m % n == 0;
    }
    return whole;
}

}  // namespace

ImageEncoderImpl::ImageEncoderImpl(NAFOptions given) : options(std::move(given)) {
    reset();
}

void ImageEncoderImpl::reset() {
    const auto half = [&](const char *name, int64_t kernel) {
        return register_module(name, nn::encoder(EncoderOptions(options.input_dim(), options.dim() / 2)
                                                     .kernel_size(kernel)
                                                     .block_kernel(kernel)
                                                     .layers(options.img_layers())
                                                     .bias(true)
                                                     .residual(false)));
    };
    encoder = half("encoder", 1);
    sem_encoder = half("sem_encoder", semantic_kernel);
    const AxialRoPE embedding(options.dim(), options.heads_rope(), options.rope_base(), options.rope_rescale());
    rope = register_module("rope", embedding);
}

Tensor ImageEncoderImpl::forward(const Tensor &image, at::IntArrayRef size) {
    const int64_t high = most_pixels * size[0], wide = most_pixels * size[1];
    Tensor x = image;
    if (x.size(2) > high || x.size(3) > wide) {
        // Both limits bind both axes, as published: an image may lose its proportions.
        const std::array<c10::SymInt, 2> smaller{std::min({x.size(2), high, wide}), std::min({x.size(3), high, wide})};
        x = ops::bilinear(x, smaller);
    }
    if (options.use_encoder()) {
        x = at::cat({encoder->forward(x), sem_encoder->forward(x)}, 1);
    }
    return rope(pool(x, size));
}

NAFImpl::NAFImpl(NAFOptions given) : options(std::move(given)) {
    const int64_t D = options.dim();
    check_least("NAF", "dim", D, 1);
    TORCH_CHECK(D % (2 * norm_groups) == 0, "NAF: dim should be a multiple of ", 2 * norm_groups, " but is ", D);
    check_divides("NAF", "heads_attn", options.heads_attn(), "dim", D);
    check_divides("NAF", "heads_rope", options.heads_rope(), "dim / 4 =", D / 4);
    check_least("NAF", "kernel_size", options.kernel_size(), 1);
    TORCH_CHECK(options.rope_base() > 0 && std::isfinite(options.rope_base()),
                "NAF: rope_base should be positive and finite but is ", options.rope_base());
    const double rescale = options.rope_rescale().value_or(1);
    TORCH_CHECK(rescale >= 1 && std::isfinite(rescale),
                "NAF: rope_rescale should be at least 1 and finite or none but is ", rescale);
    check_least("NAF", "img_layers", options.img_layers(), 0);
    check_least("NAF", "input_dim", options.input_dim(), 1);
    reset();
}

void NAFImpl::reset() {
    image_encoder = register_module("image_encoder", ImageEncoder(options));
}

Tensor NAFImpl::forward(const Tensor &image, const Tensor &features, at::OptionalIntArrayRef output_size) {
    const int64_t heads = options.heads_attn(), K = options.kernel_size();
    check_map("NAF", "image", image, options.use_encoder() ? options.input_dim() : options.dim());
    check_any_map("NAF", "features", features);
    check_same_batch("NAF", "image", image, "features", features);
    TORCH_CHECK(features.size(1) % heads == 0, "NAF: features should have channels that heads_attn ", heads,
                " divides but is ", features.sizes());
    if (options.use_encoder()) {
        check_reflects("NAF", "image", image, semantic_kernel);
    }
    const at::IntArrayRef size = output_size.value_or(image.sizes().slice(2));
    check_size("NAF", "output_size", size);
    const Tensor query = image_encoder(image, size), key = pool(query, features.sizes().slice(2));
    if (options.window_published() && !ratios_are_whole(features, size, K)) {
        return dilated_attention(query, key, features, heads, K);
    }
    return ops::cross_attention(query, key, features, heads, "shifted", {K, K}, 0, false);
}

}  // namespace upwell::nn
