// JAFAR.
#include "jafar.h"

#include <ATen/ops/addcmul.h>
#include <torch/nn/functional/normalization.h>

#include "../operators.h"
#include "check.h"

namespace upwell::nn {
namespace {

using at::Tensor;

torch::nn::GroupNorm plain_norm(int64_t channels) {
    return torch::nn::GroupNorm(torch::nn::GroupNormOptions(norm_groups, channels).affine(false));
}

}  // namespace

ModulationImpl::ModulationImpl(int64_t of_channels) : channels(of_channels) {
    reset();
}

void ModulationImpl::reset() {
    gamma = register_module("gamma", ReflectConv2d(channels, channels, 1, false));
    beta = register_module("beta", ReflectConv2d(channels, channels, 1, false));
    norm = register_module("norm", plain_norm(channels));
}

Tensor ModulationImpl::forward(const Tensor &x, const Tensor &features) {
    return at::addcmul(beta(features), gamma(features), normalise(norm, x));
}

JAFARImpl::JAFARImpl(JAFAROptions given) : options(std::move(given)) {
    check_least("JAFAR", "input_dim", options.input_dim(), 1);
    check_least("JAFAR", "qk_dim", options.qk_dim(), 1);
    check_least("JAFAR", "v_dim", options.v_dim(), 1);
    TORCH_CHECK(options.qk_dim() % norm_groups == 0, "JAFAR: qk_dim should be a multiple of ", norm_groups, " but is ",
                options.qk_dim());
    check_odd("JAFAR", "kernel_size", options.kernel_size());
    check_divides("JAFAR", "num_heads", options.num_heads(), "qk_dim", options.qk_dim());
    reset();
}

void JAFARImpl::reset() {
    const int64_t D = options.qk_dim();
    const auto of_map = [&](const char *name, int64_t channels, int64_t kernel) {
        return register_module(name, encoder(EncoderOptions(channels, D).kernel_size(kernel)));
    };
    image_encoder = of_map("image_encoder", options.input_dim(), options.kernel_size());
    key_encoder = of_map("key_encoder", D, 1);
    query_encoder = of_map("query_encoder", D, 1);
    norm = register_module("norm", plain_norm(D));
    key_features_encoder = of_map("key_features_encoder", options.v_dim(), 1);
    cross_decode = register_module("cross_decode", QueriesAndKeys(D, options.v_dim(), true));
    sft_key = register_module("sft_key", Modulation(D));
    rope = register_module("rope", LearnedRoPE(D));
}

Tensor JAFARImpl::forward(const Tensor &image, const Tensor &features, at::OptionalIntArrayRef output_size) {
    check_map("JAFAR", "image", image, options.input_dim());
    check_map("JAFAR", "features", features, options.v_dim());
    check_same_batch("JAFAR", "image", image, "features", features);
    check_reflects("JAFAR", "image", image, options.kernel_size());
    const at::IntArrayRef size = output_size.value_or(image.sizes().slice(2));
    check_size("JAFAR", "output_size", size);
    const Tensor encoded = rope(image_encoder->forward(image));
    const Tensor of_image = pool(key_encoder->forward(encoded), features.sizes().slice(2));
    const Tensor of_features = key_features_encoder->forward(torch::nn::functional::normalize(features));
    const Tensor pooled = pool(query_encoder->forward(encoded), size);
    const auto [query, key] = cross_decode(normalise(norm, pooled), sft_key(of_image, of_features));
    return ops::cross_attention(query, key, features, options.num_heads(), "whole", {0, 0}, 0, true);
}

}  // namespace upwell::nn
