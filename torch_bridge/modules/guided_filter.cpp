// The guided filter.
#include "guided_filter.h"

#include <algorithm>

#include <ATen/ops/avg_pool2d.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/upsample_bilinear2d.h>

#include "../operators.h"
#include "pad.h"

namespace upwell::nn {

GuidedFilterImpl::GuidedFilterImpl(int64_t radius, double eps, int64_t channels, int64_t scale, bool centred)
    : radius(radius / scale), eps(eps), channels(channels), scale(scale), centred(centred) {
    reset();
}

void GuidedFilterImpl::reset() {
    // Part of the published state_dict; the box means below do not need it.
    register_buffer("kernel", at::ones({channels, 1, 1, 2 * radius + 1}));
}

at::Tensor GuidedFilterImpl::forward(const at::Tensor &guide, const at::Tensor &input) {
    const at::Tensor I = subsample(guide), p = subsample(input);
    const std::vector<at::Tensor> means = box_mean(at::cat({I, p, I * p, I * I}, 1)).chunk(4, 1);
    const at::Tensor &mean_I = means[0], &mean_p = means[1], &mean_Ip = means[2], &mean_II = means[3];
    const at::Tensor a = (mean_Ip - mean_I * mean_p) / (mean_II - mean_I * mean_I + eps);
    const at::Tensor b = mean_p - a * mean_I;
    const at::Tensor smooth = upsample(box_mean(at::cat({a, b}, 1)), guide.size(2), guide.size(3));
    return smooth.narrow(1, 0, channels) * guide + smooth.narrow(1, channels, channels);
}

// Every scale-th pixel from the first, floor(H/scale) rows (at least one).
at::Tensor GuidedFilterImpl::subsample(const at::Tensor &x) const {
    const int64_t h = std::max<int64_t>(x.size(2) / scale, 1), w = std::max<int64_t>(x.size(3) / scale, 1);
    return x.slice(2, 0, h * scale, scale).slice(3, 0, w * scale, scale);
}

// Mean over the pixels of the (2R+1)^2 box that lie in the image.
at::Tensor GuidedFilterImpl::box_mean(const at::Tensor &x) const {
    const int64_t side = 2 * radius + 1;
    const at::Tensor rows = at::avg_pool2d(x, {side, 1}, 1, {radius, 0}, false, false);
    return at::avg_pool2d(rows, {1, side}, 1, {0, radius}, false, false);
}

at::Tensor GuidedFilterImpl::upsample(const at::Tensor &x, int64_t H, int64_t W) const {
    if (scale == 1) {
        return x;
    }
    if (!centred) {
        return ops::bilinear(x, std::array<c10::SymInt, 2>{H, W});
    }
    // Corners aligned, cell i lands on the pixel i * scale it came from.
    const int64_t h = scale * (x.size(2) - 1) + 1, w = scale * (x.size(3) - 1) + 1;
    return pad_to(at::upsample_bilinear2d(x, {h, w}, true), H, W);
}

}  // namespace upwell::nn
