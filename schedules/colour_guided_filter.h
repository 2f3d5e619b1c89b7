// The guided filter with a colour guide and its gradients: what can be tuned, one schedule for each kind of target, and
// the plainest one that ends.
#pragma once

#include "Halide.h"
#include "algebra/colour_guided_filter.h"
#include "schedules/knobs.h"

namespace upwell {

struct ColourGuidedFilterKnobs : Knobs {
    // Of a CPU.
    Knob tile_columns{this, "tile_columns"};
    Knob task_channels{this, "task_channels"}, task_rows{this, "task_rows"}, task_bands{this, "task_bands"};
    Knob unrolled_rows{this, "unrolled_rows"};
    // Of a GPU: the threads of a block where a stage goes along x, and along y.
    Knob chunk_pixels{this, "chunk_pixels"};
    Knob columns_along_x{this, "columns_along_x"}, rows_along_x{this, "rows_along_x"};
    Knob columns_along_y{this, "columns_along_y"}, rows_along_y{this, "rows_along_y"};
};

// Channels whose gradients of the guide are summed one after the other: those of a task, or of a chunk on a GPU.
Halide::Expr group_channels(bool on_gpu, const GuidedFilterProblem &problem, const ColourGuidedFilterKnobs &knobs);
int channels_of_task(const ColourGuidedFilterKnobs &knobs);
Halide::Expr channels_of_chunk(const GuidedFilterProblem &problem, const ColourGuidedFilterKnobs &knobs);

void schedule_on_cpu(ColourGuidedFilter &parts, const ColourGuidedFilterKnobs &knobs, const Halide::Target &target);
void schedule_on_cpu(ColourGuidedFilterInputGradient &parts, const ColourGuidedFilterKnobs &knobs,
                     const Halide::Target &target);
void schedule_on_cpu(ColourGuidedFilterGuideGradient &parts, const ColourGuidedFilterKnobs &knobs,
                     const Halide::Target &target);

// Every sum a gather.
void schedule_on_gpu(ColourGuidedFilter &parts, const ColourGuidedFilterKnobs &knobs);
void schedule_on_gpu(ColourGuidedFilterInputGradient &parts, const ColourGuidedFilterKnobs &knobs);
void schedule_on_gpu(ColourGuidedFilterGuideGradient &parts, const ColourGuidedFilterKnobs &knobs);

// Every sum whole and once, all else inlined.
void schedule_plainly(ColourGuidedFilter &parts);
void schedule_plainly(ColourGuidedFilterInputGradient &parts);
void schedule_plainly(ColourGuidedFilterGuideGradient &parts);

}  // namespace upwell
