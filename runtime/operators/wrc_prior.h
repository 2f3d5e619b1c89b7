// The prior of weighted reverse convolution (WRC, arXiv 2605.17472).
#pragma once

#include "host.h"

namespace upwell {

// x N,C,h,w, upsampled by `scale` (bilinear, align_corners=True) to z; mixed N,C*9,h,w, the taps of a channel side by
// side; lam C. precision = log1p(u^2) + lam, u the 3x3 convolution of z that the mixed channels stand for, and weighted
// = precision z, N,C,scale*h,scale*w. All contiguous, of one dtype.
void wrc_prior(const Tensor &x, const Tensor &mixed, const Tensor &lam, int64_t scale, const Tensor &precision,
               const Tensor &weighted, const Queue *queue);
void wrc_prior_backward(const Tensor &x, const Tensor &mixed, const Tensor &lam, int64_t scale,
                        const Tensor &d_precision, const Tensor &d_weighted, const Tensor &d_x, const Tensor &d_mixed,
                        const Tensor &d_lam, const Queue *queue);

}  // namespace upwell
