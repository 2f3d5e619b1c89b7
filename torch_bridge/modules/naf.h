// NAF (arXiv 2511.18452): neighbourhood cross-attention of features whose queries and keys are made of the image alone.
#pragma once

#include <optional>

#include <torch/nn/cloneable.h>
#include <torch/nn/modules/container/sequential.h>
#include <torch/nn/pimpl.h>

#include "rope.h"

namespace upwell::nn {

struct NAFOptions {
    TORCH_ARG(int64_t, dim) = 256;        // D of queries and keys, a multiple of 16, of heads_attn and of 4 heads_rope
    TORCH_ARG(int64_t, heads_attn) = 4;   // of the attention; they divide the features' channels
    TORCH_ARG(int64_t, heads_rope) = 4;   // of the position embedding
    TORCH_ARG(int64_t, kernel_size) = 9;  // K; a pixel sees K x K cells, at a border the window moves inside
    TORCH_ARG(bool, use_encoder) = true;  // false: the image has dim channels and is only pooled
    TORCH_ARG(double, rope_base) = 100;   // ratio of the longest period of the embedding to the shortest
    TORCH_ARG(std::optional<double>, rope_rescale) = 2.0;  // in training, of positions; none: not
    TORCH_ARG(int64_t, img_layers) = 2;                    // blocks of the encoders
    // Where H/h or W/w is no integer, the window of the published code, dilated by floor(H/h); made of torch's
    // operations. It takes H >= h and K floor(H/h) <= H.
    TORCH_ARG(bool, window_published) = false;
    TORCH_ARG(int64_t, input_dim) = 3;  // channels of the image (published: 3)
};

// Two encoders of an image side by side, one of pixels and one of 3 x 3, pooled and turned by position.
struct ImageEncoderImpl : torch::nn::Cloneable<ImageEncoderImpl> {
    explicit ImageEncoderImpl(NAFOptions options);
    void reset() override;
    at::Tensor forward(const at::Tensor &image, at::IntArrayRef size);  // N,input_dim,Hi,Wi -> N,dim,*size

    NAFOptions options;
    torch::nn::Sequential encoder = nullptr, sem_encoder = nullptr;
    AxialRoPE rope = nullptr;
};
TORCH_MODULE(ImageEncoder);

// The module of valeoai/NAF.
struct NAFImpl : torch::nn::Cloneable<NAFImpl> {
    explicit NAFImpl(NAFOptions options = {});
    void reset() override;

    // image N,input_dim,Hi,Wi of at least 2 x 2 pixels, features N,C,h,w -> N,C,*output_size, of the image's size if
    // none. Throws c10::Error on bad shapes.
    at::Tensor forward(const at::Tensor &image, const at::Tensor &features,
                       at::OptionalIntArrayRef output_size = std::nullopt);

    NAFOptions options;
    ImageEncoder image_encoder = nullptr;
};
TORCH_MODULE(NAF);

}  // namespace upwell::nn
