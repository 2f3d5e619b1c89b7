// Rotary position embeddings of maps: channels are turned by an angle that the pixel's place gives.
#pragma once

#include <optional>

#include <torch/nn/cloneable.h>
#include <torch/nn/pimpl.h>

namespace upwell::nn {

// Of AnyUp and JAFAR: the angle of a channel is a learned linear function of the place, which is 0 .. 1 from the first
// row (column) to the last. Two channels that are turned together have angles of their own, at first one of the row and
// one of the column: this is no rotation. So it is published, and checkpoints depend on it. dim: D, a multiple of 4.
struct LearnedRoPEImpl : torch::nn::Cloneable<LearnedRoPEImpl> {
    explicit LearnedRoPEImpl(int64_t dim);
    void reset() override;
    at::Tensor forward(const at::Tensor &x);  // N,D,H,W

    int64_t dim;
    at::Tensor freqs;  // 2,D
};
TORCH_MODULE(LearnedRoPE);

// Of NAF: a quarter of a head's channels is turned by the row, the next by the column, with the two other quarters.
// base: ratio of the longest period to the shortest. rescale: in training, places are multiplied by a random number of
// 1/rescale .. rescale (uniform logarithm), a new one every call.
struct AxialRoPEImpl : torch::nn::Cloneable<AxialRoPEImpl> {
    AxialRoPEImpl(int64_t dim, int64_t heads, double base, std::optional<double> rescale);
    void reset() override;
    at::Tensor forward(const at::Tensor &x);  // N,heads D,H,W

    int64_t dim, heads;
    double base;
    std::optional<double> rescale;
    at::Tensor periods;  // D/4
};
TORCH_MODULE(AxialRoPE);

}  // namespace upwell::nn
