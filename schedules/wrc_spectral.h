// The spectral solver of weighted reverse convolution and its adjoint: one schedule for each kind of target, and the
// plainest one that ends.
#pragma once

#include "Halide.h"
#include "algebra/wrc_spectral.h"

namespace upwell {

void schedule_on_cpu(WrcSpectral &parts, const Halide::Target &target);
void schedule_on_cpu(WrcSpectralBackward &parts, const Halide::Target &target);

// Every spread a gather.
void schedule_on_gpu(WrcSpectral &parts);
void schedule_on_gpu(WrcSpectralBackward &parts);

// Every stage whole and once.
void schedule_plainly(WrcSpectral &parts);
void schedule_plainly(WrcSpectralBackward &parts);

}  // namespace upwell
