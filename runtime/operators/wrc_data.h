// The data of weighted reverse convolution (WRC, arXiv 2605.17472).
#pragma once

#include "host.h"

namespace upwell {

// The weight log1p(response^2) of each sample of x, and the weighted sample. All N,C,h,w, contiguous, of one dtype.
void wrc_data(const Tensor &x, const Tensor &response, const Tensor &weight, const Tensor &weighted,
              const Queue *queue);
void wrc_data_backward(const Tensor &x, const Tensor &response, const Tensor &d_weight, const Tensor &d_weighted,
                      const Tensor &d_x, const Tensor &d_response, const Queue *queue);

}  // namespace upwell
