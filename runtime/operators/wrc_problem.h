// What both solvers of weighted reverse convolution (WRC, arXiv 2605.17472) are given. N,C,H,W with H = scale h and
// W = scale w, but data and its weight, N,C,h,w; contiguous, of one dtype.
#pragma once

#include "operator_call.h"

namespace upwell {

struct WrcProblem {
    Tensor precision, data_weight, data;
    Tensor weight;  // C,KH,KW, no larger than the maps
    int64_t scale;
};

// The weight's summed over samples.
struct WrcGradients {
    Tensor precision, weighted, data_weight, data, weight;
};

// What the two have in common.
Signature wrc_signature(const std::string &name, const std::string &doc);

WrcProblem wrc_problem(const OperatorCall &call);
WrcGradients wrc_gradients(const OperatorCall &call);

}  // namespace upwell
