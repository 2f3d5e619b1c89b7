// Nearest and bilinear upsampling by a factor, or to a given size: the baselines.
#pragma once

#include <optional>

#include <torch/nn/cloneable.h>
#include <torch/nn/pimpl.h>

namespace upwell::nn {

// H, W: positions follow the true ratios H/h, W/w. None: floor(scale_factor h), floor(scale_factor w), and positions
// follow scale_factor as torch::nn::Upsample's do, unless recompute_scale_factor asks for the true ratios.
using Size = std::optional<std::array<int64_t, 2>>;

struct BilinearImpl : torch::nn::Cloneable<BilinearImpl> {
    explicit BilinearImpl(double scale_factor = 2, bool recompute_scale_factor = false);
    void reset() override {}

    // x N,C,h,w -> N,C,H,W, align_corners=False.
    at::Tensor forward(const at::Tensor &x, Size size = std::nullopt);

    double scale_factor;
    bool recompute_scale_factor;
};
TORCH_MODULE(Bilinear);

struct NearestImpl : torch::nn::Cloneable<NearestImpl> {
    explicit NearestImpl(double scale_factor = 2, bool recompute_scale_factor = false);
    void reset() override {}

    // x N,C,h,w -> N,C,H,W.
    at::Tensor forward(const at::Tensor &x, Size size = std::nullopt);

    double scale_factor;
    bool recompute_scale_factor;
};
TORCH_MODULE(Nearest);

}  // namespace upwell::nn
