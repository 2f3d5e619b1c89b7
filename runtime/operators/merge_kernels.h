// A large kernel plus a small one at its centre.
#pragma once

#include "host.h"

namespace upwell {

// large, merged A,B,KH,KW; small A,B,kh,kw; KH - kh and KW - kw even and not negative; contiguous, of one dtype.
void merge_kernels(const Tensor &large, const Tensor &small, const Tensor &merged, const Queue *queue);

}  // namespace upwell
