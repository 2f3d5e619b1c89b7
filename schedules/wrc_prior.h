// The prior of weighted reverse convolution and its adjoint: one schedule for each kind of target, and the plainest one
// that ends.
#pragma once

#include "Halide.h"
#include "algebra/wrc_prior.h"

namespace upwell {

void schedule_on_cpu(WrcPrior &parts, const Halide::Target &target);
void schedule_on_cpu(WrcPriorBackward &parts, const Halide::Target &target);

// Every sum a gather.
void schedule_on_gpu(WrcPrior &parts);
void schedule_on_gpu(WrcPriorBackward &parts);

// Every sum whole and once, all else inlined.
void schedule_plainly(WrcPrior &parts);
void schedule_plainly(WrcPriorBackward &parts);

}  // namespace upwell
