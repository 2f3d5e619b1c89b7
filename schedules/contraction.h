// Small tensors: one schedule for each kind of target.
#pragma once

#include "Halide.h"
#include "algebra/contraction.h"

namespace upwell {

// Of the innermost dimensions of inputs.
struct Strides {
    Halide::Expr left, right, offset;
};

void schedule_on_cpu(Contraction &parts, const Strides &strides, const Halide::Target &target);
void schedule_on_gpu(Contraction &parts, const Strides &strides);

void schedule_on_cpu(ReciprocalRoot &parts, const Halide::Target &target);
void schedule_on_gpu(ReciprocalRoot &parts);

}  // namespace upwell
