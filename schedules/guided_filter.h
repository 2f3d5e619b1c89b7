// The guided filter and its adjoint: what can be tuned, one schedule for each kind of target, and the plainest one that
// ends.
#pragma once

#include "Halide.h"
#include "algebra/guided_filter.h"
#include "schedules/knobs.h"

namespace upwell {

struct GuidedFilterKnobs : Knobs {
    // Of a CPU.
    Knob tile_columns{this, "tile_columns"};
    Knob task_planes{this, "task_planes"}, task_rows{this, "task_rows"}, task_bands{this, "task_bands"};
    // Of a GPU: the threads of a block where a stage goes along x, and along y.
    Knob chunk_pixels{this, "chunk_pixels"};
    Knob columns_along_x{this, "columns_along_x"}, rows_along_x{this, "rows_along_x"};
    Knob columns_along_y{this, "columns_along_y"}, rows_along_y{this, "rows_along_y"};
};

void schedule_on_cpu(GuidedFilter &parts, const GuidedFilterKnobs &knobs, const Halide::Target &target);
void schedule_on_cpu(GuidedFilterBackward &parts, const GuidedFilterKnobs &knobs, const Halide::Target &target);

// Every sum a gather.
void schedule_on_gpu(GuidedFilter &parts, const GuidedFilterKnobs &knobs);
void schedule_on_gpu(GuidedFilterBackward &parts, const GuidedFilterKnobs &knobs);

// Every sum whole and once, all else inlined. (Without a schedule at all, each place of a sum would find those that it
// depends on anew.)
void schedule_plainly(GuidedFilter &parts);
void schedule_plainly(GuidedFilterBackward &parts);

}  // namespace upwell
