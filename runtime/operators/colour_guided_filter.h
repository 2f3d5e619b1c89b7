// The guided filter with a guide of three channels (He et al., Guided Image Filtering, TPAMI 2013, section 3.6).
#pragma once

#include "operators/guided_filter.h"

namespace upwell {

// guide N,3,H,W; input N,C,h,w; output N,C,H,W; contiguous, of one dtype; the guide has elements. Throws Error where
// eps is not positive, and where the maps with their border would have too many elements.
void colour_guided_filter(const GuidedFilterOptions &options, const Tensor &guide, const Tensor &input,
                          const Tensor &output, const Queue *queue);
// The gradient of the input, in which the filter is linear: it takes no input.
void colour_guided_filter_d_input(const GuidedFilterOptions &options, const Tensor &d_output, const Tensor &guide,
                                  const Tensor &d_input, const Queue *queue);
void colour_guided_filter_d_guide(const GuidedFilterOptions &options, const Tensor &d_output, const Tensor &guide,
                                  const Tensor &input, const Tensor &d_guide, const Queue *queue);

}  // namespace upwell
