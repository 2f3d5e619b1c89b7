// Nearest and bilinear upsampling.
#include "interpolate.h"

#include "../operators.h"

namespace upwell::nn {
namespace {

double positive(const char *module, double scale_factor) {
    TORCH_CHECK(scale_factor > 0, module, ": scale_factor should be positive but is ", scale_factor);
    return scale_factor;
}

std::array<c10::SymInt, 2> output_size(const char *module, const at::Tensor &x, double scale_factor, Size size) {
    TORCH_CHECK(x.dim() == 4, module, ": x should be [N, C, h, w] but is ", x.sizes());
    if (size) {
        return {(*size)[0], (*size)[1]};
    }
    return {static_cast<int64_t>(x.size(2) * scale_factor), static_cast<int64_t>(x.size(3) * scale_factor)};
}

}  // namespace

BilinearImpl::BilinearImpl(double scale_factor) : scale_factor(positive("Bilinear", scale_factor)) {}

at::Tensor BilinearImpl::forward(const at::Tensor &x, Size size) {
    return ops::bilinear(x, output_size("Bilinear", x, scale_factor, size));
}

NearestImpl::NearestImpl(double scale_factor) : scale_factor(positive("Nearest", scale_factor)) {}

at::Tensor NearestImpl::forward(const at::Tensor &x, Size size) {
    return ops::nearest(x, output_size("Nearest", x, scale_factor, size));
}

}  // namespace upwell::nn
