// The guided filter and its adjoint: what can be tuned, one schedule for each kind of target, and the plainest one that
// ends.
#pragma once

#include "Halide.h"
#include "algebra/guided_filter.h"
#include "knobs.h"

namespace upwell {

struct GuidedFilterKnobs : Knobs {
    // Of a CPU.
    Knob tile_columns{"tile_columns", 0};
    Knob task_planes{"task_planes", 0}, task_rows{"task_rows", 0}, task_bands{"task_bands", 0};
    Knob unrolled_rows{"unrolled_rows", 0};
    // Of a GPU: the threads of a block where a stage goes along x, and along y.
    Knob chunk_pixels{"chunk_pixels", 0};
    Knob columns_along_x{"columns_along_x", 0}, rows_along_x{"rows_along_x", 0};
    Knob columns_along_y{"columns_along_y", 0}, rows_along_y{"rows_along_y", 0};
};

void schedule(GuidedFilter &parts, const GuidedFilterKnobs &knobs, const Halide::Target &target);
void schedule(GuidedFilterAdjoint &parts, const GuidedFilterKnobs &knobs, const Halide::Target &target);

void schedule_on_cpu(GuidedFilter &parts, const GuidedFilterKnobs &knobs, const Halide::Target &target);
void schedule_on_cpu(GuidedFilterAdjoint &parts, const GuidedFilterKnobs &knobs, const Halide::Target &target);

// Every sum a gather.
void schedule_on_gpu(GuidedFilter &parts, const GuidedFilterKnobs &knobs);
void schedule_on_gpu(GuidedFilterAdjoint &parts, const GuidedFilterKnobs &knobs);

// Every sum whole and once, all else inlined. (Without a schedule at all, each place of a sum would find those that it
// depends on anew.)
void schedule_plainly(GuidedFilter &parts);
void schedule_plainly(GuidedFilterAdjoint &parts);

}  // namespace upwell
