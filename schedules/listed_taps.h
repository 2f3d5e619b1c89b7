// Sums over taps at listed offsets: one schedule for each pass.
#pragma once

#include "algebra/listed_taps.h"

namespace upwell::listed_taps {

// Sums of so many pixels side by side and so many of `each`, of one of all else.
void fix_extents(Halide::Func sums, int pixels, const Halide::Var &each, int count);

void schedule_on_cpu(Sum &parts, const Halide::Target &target);
void schedule_on_cpu(Dot &parts, const Halide::Target &target);
void schedule_on_cpu(Transposed &parts, const Halide::Target &target);
void schedule_on_cpu(Fold &parts, const Halide::Target &target);

void schedule_on_gpu(Sum &parts);
void schedule_on_gpu(Dot &parts);
void schedule_on_gpu(Transposed &parts);
void schedule_on_gpu(Fold &parts);

}  // namespace upwell::listed_taps
