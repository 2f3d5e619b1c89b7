// The merged kernel: one schedule for each kind of target.
#pragma once

#include "Halide.h"

namespace upwell {

void schedule_merge_kernels(Halide::Func merged, const Halide::Target &target);
void schedule_merge_kernels_on_cpu(Halide::Func merged, const Halide::Target &target);
void schedule_merge_kernels_on_gpu(Halide::Func merged);

}  // namespace upwell
