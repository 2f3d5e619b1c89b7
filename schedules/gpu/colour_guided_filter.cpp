// GPU schedules (CUDA, OpenCL) of the guided filter with a colour guide. A launch is a stage, a thread one of its
// places, and neighbouring threads are neighbouring columns, so that loads and stores coalesce. What the guide alone
// says is found once an image; then stages pass each other a chunk of its channels at a time: enough to fill a GPU,
// little enough to stay mostly in its L2, and scratch that does not grow with the number of channels.
#include "schedules/colour_guided_filter.h"

#include "algebra/dimensions.h"

namespace upwell {

using namespace Halide;

namespace {

constexpr int most_channels = 1 << 10;  // of a chunk; a launch has no more than 65535

// What goes along y shares rows, what goes along x columns.
Space settled_space(const ColourGuidedFilterKnobs &knobs) {
    Space space;
    space.add(knobs.chunk_pixels, "pixels of a chunk, or one channel", 1 << 21,
              {1 << 19, 1 << 20, 1 << 21, 1 << 22, 1 << 23});
    space.add(knobs.columns_along_x, "columns of a block, along x", 128, {32, 64, 128, 256});
    space.add(knobs.rows_along_x, "rows of a block, along x", 2, {1, 2, 4, 8});
    space.add(knobs.columns_along_y, "columns of a block, along y", 32, {32, 64, 128});
    space.add(knobs.rows_along_y, "rows of a block, along y", 16, {2, 4, 8, 16});
    space.require("a block along x has 64 to 512 threads", [&knobs](const Space &s) {
        const int threads = s[knobs.columns_along_x] * s[knobs.rows_along_x];
        return threads >= 64 && threads <= 512;
    });
    space.require("a block along y has 64 to 512 threads", [&knobs](const Space &s) {
        const int threads = s[knobs.columns_along_y] * s[knobs.rows_along_y];
        return threads >= 64 && threads <= 512;
    });
    space.settle(knobs);
    return space;
}

struct BlockSize {
    int columns, rows;
};

struct Blocks {
    explicit Blocks(const ColourGuidedFilterKnobs &knobs) : Blocks(settled_space(knobs), knobs) {}

    const BlockSize along_x, along_y;

private:
    Blocks(const Space &space, const ColourGuidedFilterKnobs &knobs)
        : along_x{space[knobs.columns_along_x], space[knobs.rows_along_x]}, along_y{space[knobs.columns_along_y],
                                                                                    space[knobs.rows_along_y]} {}
};

const Var chunk("chunk");
const Var group("group"), empty_group("empty_group");  // of the sums over channels, and where they are set to 0
const Var block_x("block_x"), block_y("block_y"), thread_x("thread_x"), thread_y("thread_y");

template<class Stage> Stage &tiles(Stage &stage, BlockSize size) {
    return stage.tile(x, y, block_x, block_y, thread_x, thread_y, size.columns, size.rows, TailStrategy::GuardWithIf)
        .gpu_threads(thread_x, thread_y)
        .never_partition_all();
}

// Blocks of rows first: there may be more than 65535. plane: the dimension behind x and y, which is one of the blocks
// too, or n alone, image after image.
void launch(Func f, BlockSize size) {
    const Var plane = f.args()[2];
    tiles(f, size).reorder(thread_x, thread_y, block_y, block_x, plane).gpu_blocks(block_y, block_x);
    if (!plane.same_as(n)) {
        f.gpu_blocks(plane);
    }
}

// The sum is found by the thread that stores f.
void in_thread(Func sum, Func f) {
    sum.compute_at(f, thread_x);
}

// Stages that run at a place of the loops around all launches.
class Stages {
public:
    explicit Stages(LoopLevel place) : place(std::move(place)) {}

    void stage(Func f, BlockSize size) {
        f.compute_at(place);
        launch(f, size);
    }

    void stage(Func f, Func sum, BlockSize size) {
        stage(f, size);
        in_thread(sum, f);
    }

    void stage(Box &box, BlockSize size) { stage(box.result, box.sum, size); }

private:
    const LoopLevel place;
};

// One value a place of an axis.
void once_a_call(Func f) {
    Func all = f.in();
    all.compute_root().gpu_tile(f.args()[0], block_x, thread_x, 32, TailStrategy::GuardWithIf).never_partition_all();
    f.compute_at(all, thread_x);
}

// A sum over a plane's samples, a block a plane and a thread a sample.
void once_a_plane(Func sum) {
    const std::vector<RVar> grid = sum.rvars(0);
    Func sample = sum.update().rfactor({{grid[0], thread_x}, {grid[1], thread_y}}), all = sum.in();
    all.compute_root().split(c, c, block_x, 1).gpu_blocks(c).gpu_threads(block_x);
    sum.compute_at(all, block_x);
    sample.in().compute_at(all, c).gpu_threads(thread_x, thread_y);
    sample.compute_at(sample.in(), thread_x);
}

void by_chunks(Func f, Expr channels, BlockSize size) {
    f.split(c, chunk, c, channels, TailStrategy::GuardWithIf);
    launch(f, size);
}

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
    const int pixels = settled_space(knobs)[knobs.chunk_pixels];
    return clamp(pixels / max(p.width(), 1) / max(p.height(), 1), 1, most_channels);
}

void schedule_on_gpu(ColourGuidedFilter &parts, const ColourGuidedFilterKnobs &knobs) {
    const Blocks blocks(knobs);
    const Stages once(LoopLevel(parts.output, n));
    Stages chunks(LoopLevel(parts.output, chunk));
    by_chunks(parts.output, parts.start.guide.problem.group_channels, blocks.along_x);
    schedule_fit(parts.start, once, chunks, blocks);
    chunks.stage(parts.row_model, blocks.along_x);
    chunks.stage(parts.model, blocks.along_y);
}

void schedule_on_gpu(ColourGuidedFilterInputGradient &parts, const ColourGuidedFilterKnobs &knobs) {
    const Blocks blocks(knobs);
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
    const Blocks blocks(knobs);
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
