// The guided filter (He et al., arXiv 1505.00996), per channel, and with a colour guide.
#pragma once

#include <string>

#include <torch/nn/cloneable.h>
#include <torch/nn/pimpl.h>

namespace upwell::nn {

// Input, filtered to follow the edges of guide: guide * a + b with a, b smooth and fitted to input.
struct GuidedFilterImpl : torch::nn::Cloneable<GuidedFilterImpl> {
    // radius: of the box, in full-size pixels. a and b are fitted on every scale-th pixel. centred: put them back where
    // those pixels came from; published (false): as if each had been the centre of a scale x scale block. border:
    // "inside", "reflect" or "symmetric", as of ops::guided_filter.
    GuidedFilterImpl(int64_t radius, double eps, int64_t channels, int64_t scale = 1, bool centred = false,
                     std::string border = "inside");
    void reset() override;

    // guide N,D,H,W, input N,D,h,w, interpolated to H,W -> N,D,H,W.
    at::Tensor forward(const at::Tensor &guide, const at::Tensor &input);

    int64_t radius;
    double eps;
    int64_t channels, scale;
    bool centred;
    std::string border;
};
TORCH_MODULE(GuidedFilter);

// Input, filtered to follow the edges of a colour image: guide . a + b with a, b smooth and fitted to each channel of
// input (He et al., Guided Image Filtering, TPAMI 2013).
struct ColourGuidedFilterImpl : torch::nn::Cloneable<ColourGuidedFilterImpl> {
    // As of GuidedFilter; eps: positive.
    ColourGuidedFilterImpl(int64_t radius, double eps, int64_t scale = 1, bool centred = false,
                           std::string border = "inside");
    void reset() override {}

    // guide N,3,H,W, input N,C,h,w, interpolated to H,W -> N,C,H,W.
    at::Tensor forward(const at::Tensor &guide, const at::Tensor &input);

    int64_t radius;
    double eps;
    int64_t scale;
    bool centred;
    std::string border;
};
TORCH_MODULE(ColourGuidedFilter);

}  // namespace upwell::nn
