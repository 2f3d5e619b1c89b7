// GPU schedules (CUDA, OpenCL) of the guided filter with a colour guide. What the guide alone says is found once an
// image; then stages pass each other a chunk of its channels at a time, so that scratch does not grow with their
// number.
#include "schedules/colour_guided_filter.h"

#include "schedules/gpu/guided_filter_stages.h"

namespace upwell {

using namespace Halide;
using namespace guided_filter_stages;

namespace {

const Var group("group"), empty_group("empty_group");  // of the sums over channels, and where they are set to 0

void schedule_guide(ColourGuide &guide, Stages once, const Blocks &blocks) {
    once_a_plane(guide.centre);
    once.stage(guide.column_means, blocks.along_y);
    once.stage(guide.solver, guide.means.sum, blocks.along_x);
}

void schedule_fit(ColourGuidedFilterFit &fit, Stages once, Stages chunk, const Blocks &blocks) {
    schedule_guide(fit.guide, once, blocks);
    once_a_plane(fit.input_centre);
    chunk.stage(fit.input_rows, blocks.along_x);
    chunk.stage(fit.column_means, blocks.along_y);
    chunk.stage(fit.fit, fit.means.sum, blocks.along_x);
}

void schedule_fit_gradient(ColourFitGradient &back, Stages chunk, const Blocks &blocks) {
    once_a_call(back.d_widened.first);
    once_a_call(back.d_row_model.first);
    chunk.stage(back.d_column_model.scaled, back.d_widened.sum, blocks.along_y);
    chunk.stage(back.d_column_model, blocks.along_y);
    chunk.stage(back.d_fit.scaled, back.d_row_model.sum, blocks.along_x);
    chunk.stage(back.d_means, back.d_fit.sum, blocks.along_x);
}

}  // namespace

Expr channels_of_chunk(const GuidedFilterProblem &p, const ColourGuidedFilterKnobs &knobs) {
    return Blocks(knobs, "channel").planes_of_chunk(p);
}

void schedule_on_gpu(ColourGuidedFilter &parts, const ColourGuidedFilterKnobs &knobs) {
    const Blocks blocks(knobs, "channel");
    const Stages once(LoopLevel(parts.output, n));
    Stages chunks(LoopLevel(parts.output, chunk));
    by_chunks(parts.output, parts.start.guide.problem.group_channels, blocks.along_x);
    schedule_fit(parts.start, once, chunks, blocks);
    chunks.stage(parts.row_model, blocks.along_x);
    chunks.stage(parts.model, blocks.along_y);
}

void schedule_on_gpu(ColourGuidedFilterInputGradient &parts, const ColourGuidedFilterKnobs &knobs) {
    const Blocks blocks(knobs, "channel");
    const Stages once(LoopLevel(parts.d_input, n));
    Stages chunks(LoopLevel(parts.d_input, chunk));
    by_chunks(parts.d_input, parts.guide.problem.group_channels, blocks.along_x);
    schedule_guide(parts.guide, once, blocks);
    schedule_fit_gradient(parts.back, chunks, blocks);
    chunks.stage(parts.d_row_moments.scaled, blocks.along_x);
    chunks.stage(parts.d_moments.scaled, parts.d_row_moments.sum, blocks.along_x);
    chunks.stage(parts.d_samples, parts.d_moments.sum, blocks.along_y);
    once_a_call(parts.d_key_rows.first);
    once_a_call(parts.d_key.first);
    chunks.stage(parts.d_key_rows.sum.in(), parts.d_key_rows.sum, blocks.along_y);
    in_thread(parts.d_key.sum, parts.d_input);
}

void schedule_on_gpu(ColourGuidedFilterGuideGradient &parts, const ColourGuidedFilterKnobs &knobs) {
    const Blocks blocks(knobs, "channel");
    const Func first = parts.of_means;
    Stages once(LoopLevel(parts.d_guide, n)), chunks(LoopLevel(first, group));
    launch(parts.d_guide, blocks.along_x);

    // One loop over groups, so that the three sums use what it makes.
    for (Func sum : {parts.of_means, parts.of_products, parts.of_output}) {
        once.stage(sum, blocks.along_x);
        sum.rename(group, empty_group);
        Stage update = sum.update();
        tiles(update, blocks.along_x)
            .reorder(parts.channel.x, thread_x, thread_y, block_y, block_x, group, n)
            .gpu_blocks(block_y, block_x);
        if (sum.name() != first.name()) {
            update.compute_with(parts.of_means.update(), group);
        }
    }
    schedule_fit(parts.start, once, chunks, blocks);
    schedule_fit_gradient(parts.back, chunks, blocks);
    chunks.stage(parts.d_row_moments.scaled, blocks.along_x);
    chunks.stage(parts.d_moments.scaled, parts.d_row_moments.sum, blocks.along_x);
    chunks.stage(parts.d_moments, blocks.along_y);
    chunks.stage(parts.row_model, blocks.along_x);
    chunks.stage(parts.model, blocks.along_y);

    for (Func total : {parts.all_of_products, parts.all_of_output}) {
        once.stage(total.in(), total, blocks.along_x);
    }
    once.stage(parts.d_guide_rows.scaled, parts.all_of_means, blocks.along_x);
    once.stage(parts.d_guide_moments.scaled, parts.d_guide_rows.sum, blocks.along_x);
    once.stage(parts.d_samples, parts.d_guide_moments.sum, blocks.along_y);
}

}  // namespace upwell
