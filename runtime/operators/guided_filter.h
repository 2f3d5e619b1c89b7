// The guided filter (He et al., arXiv 1505.00996), per channel.
#pragma once

#include "host.h"

namespace upwell {

struct GuidedFilterOptions {
    int64_t radius;  // of the box, in pixels of the guide
    double eps;
    int64_t scale;  // it is fitted on every scale-th pixel
    bool centred;   // the fit is put back where those pixels are; else as if they were the centres of blocks
    std::string border = "inside";  // of the map the box ends; else samples go on in mirrors: "reflect", "symmetric"
};

// guide, output N,D,H,W; input N,D,h,w; contiguous, of one dtype, with elements. Throws Error where the maps with their
// border would have too many.
void guided_filter(const GuidedFilterOptions &options, const Tensor &guide, const Tensor &input, const Tensor &output,
                   const Queue *queue);
void guided_filter_backward(const GuidedFilterOptions &options, const Tensor &guide, const Tensor &input,
                           const Tensor &d_output, const Tensor &d_guide, const Tensor &d_input, const Queue *queue);

}  // namespace upwell
