// The guided filter and its adjoint: one schedule for each kind of target, and the plainest one that ends.
#pragma once

#include "Halide.h"
#include "algebra/guided_filter.h"

namespace upwell {

void schedule(GuidedFilter &parts, const Halide::Target &target);
void schedule(GuidedFilterAdjoint &parts, const Halide::Target &target);

void schedule_on_cpu(GuidedFilter &parts, const Halide::Target &target);
void schedule_on_cpu(GuidedFilterAdjoint &parts, const Halide::Target &target);

// Every sum a gather.
void schedule_on_gpu(GuidedFilter &parts);
void schedule_on_gpu(GuidedFilterAdjoint &parts);

// Every sum whole and once, all else inlined. (Without a schedule at all, each place of a sum would find those that it
// depends on anew.)
void schedule_plainly(GuidedFilter &parts);
void schedule_plainly(GuidedFilterAdjoint &parts);

}  // namespace upwell
