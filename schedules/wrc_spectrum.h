// The spectral solver of weighted reverse convolution and its adjoint: one schedule for each kind of target, and the
// plainest one that ends.
#pragma once

#include "Halide.h"
#include "algebra/wrc_spectrum.h"

namespace upwell {

void schedule_on_cpu(WrcSpectrum &parts, const Halide::Target &target);
void schedule_on_cpu(WrcSpectrumAdjoint &parts, const Halide::Target &target);

// Every spread a gather.
void schedule_on_gpu(WrcSpectrum &parts);
void schedule_on_gpu(WrcSpectrumAdjoint &parts);

// Every stage whole and once.
void schedule_plainly(WrcSpectrum &parts);
void schedule_plainly(WrcSpectrumAdjoint &parts);

}  // namespace upwell
