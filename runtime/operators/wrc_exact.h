// The exact solver of weighted reverse convolution (WRC, arXiv 2605.17472).
#pragma once

#include "operators/wrc_problem.h"
#include "operators/wrc_system.h"

namespace upwell {

// With a queue and a tolerance above 0, the queue has `download`.
void wrc_exact(const WrcProblem &problem, const Tensor &weighted, const WrcTolerance &tolerance, const Tensor &output,
               const Queue *queue);
// output: what wrc_exact gave.
void wrc_exact_backward(const WrcProblem &problem, const WrcTolerance &tolerance, const Tensor &output,
                       const Tensor &d_output, const WrcGradients &gradients, const Queue *queue);

}  // namespace upwell
