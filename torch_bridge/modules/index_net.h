// IndexNet (ICCV 2019, arXiv 1908.00672): an index, made of the encoder's map, says how much each pixel of a cell gives
// to a pooling, and how much it gets from an upsampling.
#pragma once

#include <string>
#include <tuple>

#include <torch/nn/cloneable.h>
#include <torch/nn/modules/container/sequential.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/pimpl.h>

namespace upwell::nn {

struct IndexBlockOptions {
    explicit IndexBlockOptions(int64_t inp) : inp_(inp) {}

    TORCH_ARG(int64_t, inp);  // channels of the encoder's map
    // What poppinace/indexnet_matting calls HolisticIndexBlock (one index for all channels); or "o2o",
    // DepthwiseO2OIndexBlock (one for every channel, made of that channel), or "m2o", DepthwiseM2OIndexBlock (made of
    // all).
    TORCH_ARG(std::string, block) = "holistic";
    TORCH_ARG(bool, use_nonlinear) = false;  // two convolutions, a batch norm and ReLU6 between them, instead of one
    TORCH_ARG(bool, use_context) = false;    // kernels of 2 r (of 3 where r is 1) instead of r
    TORCH_ARG(int64_t, scale_factor) = 2;    // r
};

struct IndexBlockImpl : torch::nn::Cloneable<IndexBlockImpl> {
    explicit IndexBlockImpl(IndexBlockOptions options);
    void reset() override;

    // en N,C,r h,r w -> idx_en and idx_de, N,1,r h,r w or N,C,r h,r w.
    std::tuple<at::Tensor, at::Tensor> forward(const at::Tensor &en);
    at::Tensor decoder_cells(const at::Tensor &en);  // idx_de alone, a cell's pixels as channels: N,1 or C,r r,h,w

    IndexBlockOptions options;

private:
    at::Tensor as_pixels(const at::Tensor &cells) const;  // N,1 or C,r h,r w

    // One for all channels, or one for each pixel of a cell.
    std::vector<torch::nn::Sequential> networks;
    torch::nn::Conv2d alone = nullptr;  // in place of the one network, where it is one convolution
};
TORCH_MODULE(IndexBlock);

struct IndexNetOptions {
    IndexNetOptions(int64_t in_channels, int64_t guide_channels)
        : in_channels_(in_channels), guide_channels_(guide_channels) {}

    TORCH_ARG(int64_t, in_channels);
    TORCH_ARG(int64_t, guide_channels);  // as many as in_channels but for block "holistic"
    TORCH_ARG(int64_t, scale_factor) = 2;
    TORCH_ARG(std::string, block) = "holistic";
    TORCH_ARG(bool, use_nonlinear) = false;
    TORCH_ARG(bool, use_context) = false;
};

// Upsampling by an index of the guide; its block gives the index that belongs to it for pooling too.
struct IndexNetImpl : torch::nn::Cloneable<IndexNetImpl> {
    explicit IndexNetImpl(IndexNetOptions options);
    void reset() override;

    // guide N,guide_channels,r h,r w, x N,in_channels,h,w -> N,in_channels,r h,r w. Throws c10::Error on bad shapes.
    at::Tensor forward(const at::Tensor &guide, const at::Tensor &x);

    IndexNetOptions options;
    IndexBlock block = nullptr;
};
TORCH_MODULE(IndexNet);

// The sum over a cell's pixels of index times map: x N,C,r h,r w, idx_en N,1 or C,r h,r w -> N,C,h,w.
at::Tensor index_pool(const at::Tensor &x, const at::Tensor &idx_en, int64_t scale_factor = 2);

// Every pixel is its cell times its index: x N,C,h,w, idx_de N,1 or C,H,W -> N,C,H,W.
at::Tensor index_unpool(const at::Tensor &x, const at::Tensor &idx_de);

}  // namespace upwell::nn
