// The data term: one schedule for each kind of target.
#pragma once

#include "Halide.h"
#include "algebra/wrc_data.h"

namespace upwell {

void schedule_on_cpu(WrcData &parts, const Halide::Target &target);
void schedule_on_cpu(WrcDataBackward &parts, const Halide::Target &target);

void schedule_on_gpu(WrcData &parts);
void schedule_on_gpu(WrcDataBackward &parts);

}  // namespace upwell
