// The transposed convolution and its gradients: one schedule for each kind of target, and the plainest one that ends.
#pragma once

#include "Halide.h"
#include "algebra/transposed_conv.h"
#include "schedules/place.h"

namespace upwell::transposed_conv {

SumSizes sum_sizes(Halide::Type type, const Where &where);

void schedule_on_cpu(Forward &f, const Halide::Target &target);
void schedule_on_cpu(DInput &d, const Halide::Target &target);
void schedule_on_cpu(DWeight &d, const Halide::Target &target);

void schedule_on_gpu(Forward &f);
void schedule_on_gpu(DInput &d);
void schedule_on_gpu(DWeight &d);

// Every sum whole and once, all else inlined.
void schedule_plainly(Forward &f);
void schedule_plainly(DInput &d);
void schedule_plainly(DWeight &d);

// Where the stride is known when the kernel is compiled.
inline bool fixed(const Problem &problem) {
    return Halide::Internal::is_const(problem.columns.stride);
}

}  // namespace upwell::transposed_conv
