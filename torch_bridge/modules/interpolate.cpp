// Nearest and bilinear upsampling.
#include "interpolate.h"

#include <cmath>

#include "../operators.h"

namespace upwell::nn {
namespace {

double positive(const char *module, double scale_factor) {
    TORCH_CHECK(scale_factor > 0 && std::isfinite(scale_factor), module,
                ": scale_factor should be positive and finite but is ", scale_factor);
    return scale_factor;
}

using Operator = at::Tensor (*)(const at::Tensor &, c10::SymIntArrayRef, std::optional<double>, std::optional<double>);

at::Tensor interpolate(const char *module, Operator op, const at::Tensor &x, Size size, double scale_factor,
                       bool recompute_scale_factor) {
    TORCH_CHECK(x.dim() == 4, module, ": x should be [N, C, h, w] but is ", x.sizes());
    if (size) {
        return op(x, std::array<c10::SymInt, 2>{(*size)[0], (*size)[1]}, std::nullopt, std::nullopt);
    }
    const auto scaled = [&](int64_t axis) {
        return static_cast<int64_t>(static_cast<double>(x.size(axis)) * scale_factor);
    };
    const std::optional<double> scale = recompute_scale_factor ? std::nullopt : std::optional<double>(scale_factor);
    return op(x, std::array<c10::SymInt, 2>{scaled(2), scaled(3)}, scale, scale);
}

}  // namespace

BilinearImpl::BilinearImpl(double scale_factor, bool recompute_scale_factor)
    : scale_factor(positive("Bilinear", scale_factor)), recompute_scale_factor(recompute_scale_factor) {}

at::Tensor BilinearImpl::forward(const at::Tensor &x, Size size) {
    return interpolate("Bilinear", ops::bilinear, x, size, scale_factor, recompute_scale_factor);
}

NearestImpl::NearestImpl(double scale_factor, bool recompute_scale_factor)
    : scale_factor(positive("Nearest", scale_factor)), recompute_scale_factor(recompute_scale_factor) {}

at::Tensor NearestImpl::forward(const at::Tensor &x, Size size) {
    return interpolate("Nearest", ops::nearest, x, size, scale_factor, recompute_scale_factor);
}

}  // namespace upwell::nn
