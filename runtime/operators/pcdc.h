// Paired central difference convolution (ReSFU, arXiv 2407.02283, Eq. 11): every tap weights the difference between the
// key there and the query at the centre.
#pragma once

#include "operators/pcdc_fold.h"

namespace upwell::pcdc {

// key, query N,D,H,W; weight L,D / groups,K,K; bias L, or no data. All contiguous.
struct DifferenceInputs {
    Tensor key, query, weight, bias;
};

// ratio: how far taps are apart. output N,L,H,W.
void difference(Host &host, const DifferenceInputs &in, int64_t groups, const Ratio &ratio, const Tensor &output);
// Gradients of all inputs are written, of the bias in any case.
void difference_backward(Host &host, const Tensor &d_output, const DifferenceInputs &in, int64_t groups,
                        const Ratio &ratio, const DifferenceInputs &d);

}  // namespace upwell::pcdc
