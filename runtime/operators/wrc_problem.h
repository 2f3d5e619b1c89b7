// What both solvers of weighted reverse convolution (WRC, arXiv 2605.17472) are given. N,C,H,W with H = scale h and
// W = scale w, but data and its weight, N,C,h,w; contiguous, of one dtype.
#pragma once

#include "host.h"
#include "named.h"

namespace upwell {

struct WrcProblem {
    Tensor precision, data_weight, data;
    Tensor kernel;  // C,KH,KW, no larger than the maps
    int64_t scale;
};

// The kernel's summed over samples.
struct WrcGradients {
    Tensor precision, weighted, data_weight, data, kernel;
};

// A call by name.
struct WrcCall {
    WrcProblem problem;
    Tensor weighted, output;
};

WrcCall take_wrc_call(Named &arguments);
// Throws Error of this operator.
void check_wrc_call(const std::string &op, const WrcCall &call, const Queue *queue);

}  // namespace upwell
