// One schedule for each kind of target.
#pragma once

#include "Halide.h"

namespace upwell {

// A function of one dimension that reads nothing else of what it reads.
void schedule_elements(Halide::Func f, const Halide::Target &target);

}  // namespace upwell
