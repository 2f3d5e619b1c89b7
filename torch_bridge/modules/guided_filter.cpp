// The guided filter.
#include "guided_filter.h"

#include <ATen/ops/ones.h>

#include "../operators.h"

namespace upwell::nn {
namespace {

void check_options(const char *name, int64_t radius, int64_t scale, const std::string &border) {
    TORCH_CHECK(radius >= 0, name, ": radius should be at least 0 but is ", radius);
    TORCH_CHECK(scale >= 1, name, ": scale should be at least 1 but is ", scale);
    TORCH_CHECK(border == "inside" || border == "reflect" || border == "symmetric", name,
                ": border should be 'inside', 'reflect' or 'symmetric' but is '", border, "'");
}

}  // namespace

GuidedFilterImpl::GuidedFilterImpl(int64_t radius, double eps, int64_t channels, int64_t scale, bool centred,
                                   std::string border)
    : radius(radius), eps(eps), channels(channels), scale(scale), centred(centred), border(std::move(border)) {
    check_options("GuidedFilter", radius, scale, this->border);
    reset();
}

void GuidedFilterImpl::reset() {
    // Part of the published state_dict; the box means do not need it.
    register_buffer("kernel", at::ones({channels, 1, 1, 2 * (radius / scale) + 1}));
}

at::Tensor GuidedFilterImpl::forward(const at::Tensor &guide, const at::Tensor &input) {
    return ops::guided_filter(guide, input, radius, eps, scale, centred, border);
}

ColourGuidedFilterImpl::ColourGuidedFilterImpl(int64_t radius, double eps, int64_t scale, bool centred,
                                               std::string border)
    : radius(radius), eps(eps), scale(scale), centred(centred), border(std::move(border)) {
    check_options("ColourGuidedFilter", radius, scale, this->border);
    TORCH_CHECK(eps > 0, "ColourGuidedFilter: eps should be positive but is ", eps);
}

at::Tensor ColourGuidedFilterImpl::forward(const at::Tensor &guide, const at::Tensor &input) {
    return ops::colour_guided_filter(guide, input, radius, eps, scale, centred, border);
}

}  // namespace upwell::nn
