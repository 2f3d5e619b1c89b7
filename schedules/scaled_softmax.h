// Softmax times factors: one schedule for each pass.
#pragma once

#include "algebra/scaled_softmax.h"

namespace upwell::scaled_softmax {

void schedule_on_cpu(Weights &parts, const Halide::Target &target);
void schedule_on_cpu(Gradients &parts, const Halide::Target &target);

void schedule_on_gpu(Weights &parts);
void schedule_on_gpu(Gradients &parts);

}  // namespace upwell::scaled_softmax
