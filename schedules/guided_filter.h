// The guided filter and its adjoint: the CPU schedule, and the plainest one that ends.
#pragma once

#include "Halide.h"
#include "algebra/guided_filter.h"

namespace upwell {

void schedule(GuidedFilter &parts, const Halide::Target &target);
void schedule(GuidedFilterAdjoint &parts, const Halide::Target &target);

// Every sum whole and once, all else inlined. (Without a schedule at all, each place of a sum would find those that it
// depends on anew.)
void schedule_plainly(GuidedFilter &parts);
void schedule_plainly(GuidedFilterAdjoint &parts);

}  // namespace upwell
