// The exact solver of weighted reverse convolution: one schedule for each kind of target, and the plainest one that
// ends.
#pragma once

#include "Halide.h"
#include "algebra/form.h"
#include "algebra/wrc_exact.h"
#include "schedules/place.h"

namespace upwell {

void schedule_on_cpu(WrcStart &parts, const Halide::Target &target);
void schedule_on_cpu(WrcFirst &parts, const Halide::Target &target);
void schedule_on_cpu(WrcReciprocals &parts, const Halide::Target &target);
void schedule_on_cpu(WrcStep &parts, const Halide::Target &target);
void schedule_on_cpu(WrcFinish &parts, const Halide::Target &target);
void schedule_on_cpu(WrcLowGradients &parts, const Halide::Target &target);
void schedule_on_cpu(WrcKernelGradient &parts, const Halide::Target &target);

void schedule_on_gpu(WrcStart &parts);
void schedule_on_gpu(WrcFirst &parts);
void schedule_on_gpu(WrcReciprocals &parts);
void schedule_on_gpu(WrcStep &parts);
void schedule_on_gpu(WrcFinish &parts);
void schedule_on_gpu(WrcLowGradients &parts);
void schedule_on_gpu(WrcKernelGradient &parts);

// A GPU has a thread for every pixel.
Form wrc_exact_form(const Where &where);

// Sums of a plane whole and once, all else inlined.
template<class Parts> void schedule_plainly(Parts &) {}
void schedule_plainly(WrcStart &parts);
void schedule_plainly(WrcStep &parts);

}  // namespace upwell
