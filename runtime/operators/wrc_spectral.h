// The spectral solver of weighted reverse convolution (WRC, arXiv 2605.17472).
#pragma once

#include "operators/wrc_problem.h"

namespace upwell {

// Where the weight's origin is: in the middle of an image (published), or of the convolution's own kernel.
enum class WrcCentre { Image, Kernel };

// spectrum: N,C,H,W/2+1,2, that of weighted, which the gradient takes; or without data, where there will be none.
void wrc_spectral(const WrcProblem &problem, const Tensor &weighted, WrcCentre centre, const Fourier &fourier,
                  const Tensor &spectrum, const Tensor &output, const Queue *queue);
void wrc_spectral_backward(const WrcProblem &problem, WrcCentre centre, const Fourier &fourier, const Tensor &spectrum,
                          const Tensor &d_output, const WrcGradients &gradients, const Queue *queue);

}  // namespace upwell
