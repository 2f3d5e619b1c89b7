// GPU schedules (CUDA, OpenCL) of the guided filter. A launch is a stage, a thread one of its places, and neighbouring
// threads are neighbouring columns, so that loads and stores coalesce. What a box reads again its block has in L1.
// Stages pass each other a chunk of planes at a time: enough to fill a GPU, little enough to stay mostly in its L2, and
// scratch that does not grow with the number of planes.
#include "../guided_filter.h"

#include "algebra/dimensions.h"

namespace upwell {

using namespace Halide;

namespace {

constexpr int chunk_pixels = 1 << 21;  // or one plane
constexpr int most_planes = 1 << 10;   // of a chunk; a launch has no more than 65535

// Columns and rows of a block: what goes along y shares rows, what goes along x columns.
struct BlockSize {
    int columns, rows;
};
constexpr BlockSize along_x{128, 2}, along_y{32, 16};

class ChunkSchedule {
public:
    const Var chunk{"chunk"};

    ChunkSchedule(const GuidedFilterProblem &p)
        : planes(clamp(chunk_pixels / max(p.width(), 1) / max(p.height(), 1), 1, most_planes)) {}

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
    s.stage(fit.input_rows, along_x);
    s.stage(fit.column_means, along_y);
}

}  // namespace

void schedule_on_gpu(GuidedFilter &parts) {
    ChunkSchedule s(parts.start.problem);
    s.output(parts.output);
    schedule_start(parts.start, s);
    s.stage(parts.start.fit, parts.start.means.sum, along_x);
    s.stage(parts.row_model, along_x);
    s.stage(parts.model, along_y);
}

void schedule_on_gpu(GuidedFilterAdjoint &parts) {
    ChunkSchedule s(parts.start.problem);
    s.output(parts.d_input);
    s.output(parts.d_guide);
    parts.d_input.compute_with(parts.d_guide, s.chunk);
    schedule_start(parts.start, s);
    s.stage(parts.solved, parts.start.means.sum, along_x);
    s.stage(parts.row_model, along_x);
    s.stage(parts.model, along_y);

    for (LinearTranspose *transpose : {&parts.d_widened, &parts.d_row_model, &parts.d_key_rows, &parts.d_key}) {
        s.once_a_call(transpose->first);
    }
    s.stage(parts.d_column_model.scaled, parts.d_widened.sum, along_y);
    s.stage(parts.d_column_model, along_y);
    s.stage(parts.d_fit.scaled, parts.d_row_model.sum, along_x);
    s.stage(parts.d_row_moments.scaled, parts.d_fit.sum, along_x);
    s.stage(parts.d_moments.scaled, parts.d_row_moments.sum, along_x);
    s.stage(parts.d_samples, parts.d_moments.sum, along_y);
    s.stage(parts.d_key_rows.sum.in(), parts.d_key_rows.sum, along_y);
    s.in_thread(parts.d_key.sum, parts.d_input);
}

}  // namespace upwell
