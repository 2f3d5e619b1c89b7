// GPU schedules (CUDA, OpenCL) of the guided filter. What a box reads again its block has in L1. Stages pass each other
// a chunk of planes at a time, so that scratch does not grow with the number of planes.
#include "schedules/guided_filter.h"

#include "schedules/gpu/guided_filter_stages.h"

namespace upwell {

using namespace Halide;
using namespace guided_filter_stages;

namespace {

// Up to the means along y.
void schedule_start(GuidedFilterFit &fit, Stages &s, const Blocks &blocks) {
    once_a_plane(fit.guide_centre);
    once_a_plane(fit.input_centre);
    s.stage(fit.input_rows, blocks.along_x);
    s.stage(fit.column_means, blocks.along_y);
}

}  // namespace

void schedule_on_gpu(GuidedFilter &parts, const GuidedFilterKnobs &knobs) {
    const Blocks blocks(knobs, "plane");
    Stages s(LoopLevel(parts.output, chunk));
    by_chunks(parts.output, blocks.planes_of_chunk(parts.start.problem), blocks.along_x);
    schedule_start(parts.start, s, blocks);
    s.stage(parts.start.fit, parts.start.means.sum, blocks.along_x);
    s.stage(parts.row_model, blocks.along_x);
    s.stage(parts.model, blocks.along_y);
}

void schedule_on_gpu(GuidedFilterBackward &parts, const GuidedFilterKnobs &knobs) {
    const Blocks blocks(knobs, "plane");
    Stages s(LoopLevel(parts.d_guide, chunk));
    for (Func gradient : {parts.d_input, parts.d_guide}) {
        by_chunks(gradient, blocks.planes_of_chunk(parts.start.problem), blocks.along_x);
    }
    parts.d_input.compute_with(parts.d_guide, chunk);
    schedule_start(parts.start, s, blocks);
    s.stage(parts.solved, parts.start.means.sum, blocks.along_x);
    s.stage(parts.row_model, blocks.along_x);
    s.stage(parts.model, blocks.along_y);

    for (LinearTranspose *transpose : {&parts.d_widened, &parts.d_row_model, &parts.d_key_rows, &parts.d_key}) {
        once_a_call(transpose->first);
    }
    s.stage(parts.d_column_model.scaled, parts.d_widened.sum, blocks.along_y);
    s.stage(parts.d_column_model, blocks.along_y);
    s.stage(parts.d_fit.scaled, parts.d_row_model.sum, blocks.along_x);
    s.stage(parts.d_row_moments.scaled, parts.d_fit.sum, blocks.along_x);
    s.stage(parts.d_moments.scaled, parts.d_row_moments.sum, blocks.along_x);
    s.stage(parts.d_samples, parts.d_moments.sum, blocks.along_y);
    s.stage(parts.d_key_rows.sum.in(), parts.d_key_rows.sum, blocks.along_y);
    in_thread(parts.d_key.sum, parts.d_input);
}

}  // namespace upwell
