// GPU schedules (CUDA, OpenCL) of the guided filter. A launch is a stage, a thread one of its places, and neighbouring
// threads are neighbouring columns, so that loads and stores coalesce. What a box reads again its block has in L1.
// Stages pass each other a chunk of planes at a time: enough to fill a GPU, little enough to stay mostly in its L2, and
// scratch that does not grow with the number of planes.
#include "schedules/guided_filter.h"

#include "algebra/dimensions.h"

namespace upwell {

using namespace Halide;

namespace {

constexpr int most_planes = 1 << 10;  // of a chunk; a launch has no more than 65535

// What goes along y shares rows, what goes along x columns.
Space settled_space(const GuidedFilterKnobs &knobs) {
    Space space;
    space.add(knobs.chunk_pixels, "pixels of a chunk, or one plane", 1 << 21,
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

class ChunkSchedule {
public:
    const Var chunk{"chunk"};

    ChunkSchedule(const GuidedFilterProblem &p, const GuidedFilterKnobs &knobs)
        : ChunkSchedule(p, knobs, settled_space(knobs)) {}

    const BlockSize along_x, along_y;

    void output(Func f) {
        f.split(c, chunk, c, planes, TailStrategy::GuardWithIf);
        launch(f, along_x);
        chunks = f;
    }

    void stage(Func f, BlockSize size) {
        f.compute_at(chunks, chunk);
        launch(f, size);
    }

    void stage(Box &box, BlockSize size) { stage(box.result, box.sum, size); }

    // The sum is found by the thread that stores f.
    void stage(Func f, Func sum, BlockSize size) {
        stage(f, size);
        in_thread(sum, f);
    }

    void in_thread(Func sum, Func f) { sum.compute_at(f, thread_x); }

    // One value a place of an axis.
    void once_a_call(Func f) {
        Func whole = f.in();
        whole.compute_root()
            .gpu_tile(f.args()[0], block_x, thread_x, 32, TailStrategy::GuardWithIf)
            .never_partition_all();
        f.compute_at(whole, thread_x);
    }

    // A sum over a plane's samples, a block a plane and a thread a sample.
    void once_a_plane(Func sum) {
        const std::vector<RVar> grid = sum.rvars(0);
        Func sample = sum.update().rfactor({{grid[0], thread_x}, {grid[1], thread_y}}), whole = sum.in();
        whole.compute_root().split(c, c, block_x, 1).gpu_blocks(c).gpu_threads(block_x);
        sum.compute_at(whole, block_x);
        sample.in().compute_at(whole, c).gpu_threads(thread_x, thread_y);
        sample.compute_at(sample.in(), thread_x);
    }

private:
    ChunkSchedule(const GuidedFilterProblem &p, const GuidedFilterKnobs &knobs, const Space &space)
        : along_x{space[knobs.columns_along_x], space[knobs.rows_along_x]}, along_y{space[knobs.columns_along_y],
                                                                                    space[knobs.rows_along_y]},
          planes(clamp(space[knobs.chunk_pixels] / max(p.width(), 1) / max(p.height(), 1), 1, most_planes)) {}

    // Blocks of rows first: there may be more than 65535.
    void launch(Func f, BlockSize size) {
        f.tile(x, y, block_x, block_y, thread_x, thread_y, size.columns, size.rows, TailStrategy::GuardWithIf)
            .reorder(thread_x, thread_y, block_y, block_x, c)
            .gpu_blocks(block_y, block_x, c)
            .gpu_threads(thread_x, thread_y)
            .never_partition_all();
    }

    const Expr planes;
    const Var block_x{"block_x"}, block_y{"block_y"}, thread_x{"thread_x"}, thread_y{"thread_y"};
    Func chunks;
};

// Up to the means along y.
void schedule_start(GuidedFilterFit &fit, ChunkSchedule &s) {
    s.once_a_plane(fit.guide_centre);
    s.once_a_plane(fit.input_centre);
    s.stage(fit.input_rows, s.along_x);
    s.stage(fit.column_means, s.along_y);
}

}  // namespace

void schedule_on_gpu(GuidedFilter &parts, const GuidedFilterKnobs &knobs) {
    ChunkSchedule s(parts.start.problem, knobs);
    s.output(parts.output);
    schedule_start(parts.start, s);
    s.stage(parts.start.fit, parts.start.means.sum, s.along_x);
    s.stage(parts.row_model, s.along_x);
    s.stage(parts.model, s.along_y);
}

void schedule_on_gpu(GuidedFilterBackward &parts, const GuidedFilterKnobs &knobs) {
    ChunkSchedule s(parts.start.problem, knobs);
    s.output(parts.d_input);
    s.output(parts.d_guide);
    parts.d_input.compute_with(parts.d_guide, s.chunk);
    schedule_start(parts.start, s);
    s.stage(parts.solved, parts.start.means.sum, s.along_x);
    s.stage(parts.row_model, s.along_x);
    s.stage(parts.model, s.along_y);

    for (LinearTranspose *transpose : {&parts.d_widened, &parts.d_row_model, &parts.d_key_rows, &parts.d_key}) {
        s.once_a_call(transpose->first);
    }
    s.stage(parts.d_column_model.scaled, parts.d_widened.sum, s.along_y);
    s.stage(parts.d_column_model, s.along_y);
    s.stage(parts.d_fit.scaled, parts.d_row_model.sum, s.along_x);
    s.stage(parts.d_row_moments.scaled, parts.d_fit.sum, s.along_x);
    s.stage(parts.d_moments.scaled, parts.d_row_moments.sum, s.along_x);
    s.stage(parts.d_samples, parts.d_moments.sum, s.along_y);
    s.stage(parts.d_key_rows.sum.in(), parts.d_key_rows.sum, s.along_y);
    s.in_thread(parts.d_key.sum, parts.d_input);
}

}  // namespace upwell
