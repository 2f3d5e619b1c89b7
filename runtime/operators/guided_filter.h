// The guided filter (He et al., arXiv 1505.00996), per channel.
#pragma once

#include <algorithm>

#include "grid/reads.h"
#include "host.h"

namespace upwell {

struct GuidedFilterOptions {
    int64_t radius;  // of the box, in pixels of the guide
    double eps;
    int64_t scale;  // it is fitted on every scale-th pixel
    bool centred;   // the fit is put back where those pixels are; else as if they were the centres of blocks

    int64_t samples(int64_t pixels) const { return std::max<int64_t>(pixels / scale, 1); }
    int64_t box() const { return radius / scale; }  // in samples
    Reads back(int64_t pixels) const {
        return centred ? read_between_samples(samples(pixels), pixels, scale)
                       : read_bilinear(samples(pixels), pixels, pixels, 1);
    }
};

// Where samples read the input, and pixels the samples.
struct GuidedFilterAxis {
    Reads key, back;
};
GuidedFilterAxis guided_filter_axis(const GuidedFilterOptions &options, int64_t low, int64_t high);

// guide, output N,D,H,W; input N,D,h,w; contiguous, of one dtype, which fit the axes.
void guided_filter(const GuidedFilterOptions &options, const GuidedFilterAxis &columns, const GuidedFilterAxis &rows,
                   const Tensor &guide, const Tensor &input, const Tensor &output, const Queue *queue);
void guided_filter_adjoint(const GuidedFilterOptions &options, const GuidedFilterAxis &columns,
                           const GuidedFilterAxis &rows, const Tensor &guide, const Tensor &input,
                           const Tensor &d_output, const Tensor &d_guide, const Tensor &d_input, const Queue *queue);

}  // namespace upwell
