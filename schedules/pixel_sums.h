// Sums of pixels of a map: one schedule for each kind of target.
#pragma once

#include "Halide.h"
#include "algebra/pixel_sums.h"

namespace upwell {

void schedule_on_cpu(PixelSums &parts, const Halide::Target &target);
void schedule_on_gpu(PixelSums &parts);

}  // namespace upwell
