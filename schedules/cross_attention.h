// Cross-scale attention: one schedule for each pass.
#pragma once

#include "algebra/cross_attention.h"

namespace upwell::cross_attention {

void schedule_on_cpu(Forward &parts, const Halide::Target &target);
void schedule_on_cpu(Statistics &parts, const Halide::Target &target);
void schedule_on_cpu(OfPixels &parts, const Halide::Target &target);
void schedule_on_cpu(OfCells &parts, const Halide::Target &target);

}  // namespace upwell::cross_attention
