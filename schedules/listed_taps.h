// Sums over taps at listed offsets: one schedule for each pass.
#pragma once

#include "algebra/listed_taps.h"

namespace upwell::listed_taps {

void schedule_on_cpu(Sum &parts, const Halide::Target &target);
void schedule_on_cpu(Dot &parts, const Halide::Target &target);
void schedule_on_cpu(Transposed &parts, const Halide::Target &target);
void schedule_on_cpu(Fold &parts, const Halide::Target &target);

}  // namespace upwell::listed_taps
