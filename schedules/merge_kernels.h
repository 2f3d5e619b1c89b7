// The merged kernel: one schedule for each kind of target.
#pragma once

#include "Halide.h"
#include "algebra/merge_kernels.h"

namespace upwell {

void schedule_on_cpu(MergedKernels &parts, const Halide::Target &target);
void schedule_on_gpu(MergedKernels &parts);

}  // namespace upwell
