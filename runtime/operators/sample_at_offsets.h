// Samples of a map at learned offsets (DySample, arXiv 2308.15085).
#pragma once

#include "host.h"

namespace upwell {

struct SampleAtOffsetsOptions {
    int64_t scale, groups;
    bool high_res;  // offsets are N,2*groups,scale*h,scale*w, not N,2*groups*scale*scale,h,w
};

// value N,C,h,w; output N,C,scale*h,scale*w. All contiguous, of one dtype.
void sample_at_offsets(const SampleAtOffsetsOptions &options, const Tensor &value, const Tensor &offsets,
                       const Tensor &output, const Queue *queue);
void sample_at_offsets_backward(const SampleAtOffsetsOptions &options, const Tensor &d_output, const Tensor &value,
                                const Tensor &offsets, const Tensor &d_value, const Tensor &d_offsets,
                                const Queue *queue);

}  // namespace upwell
