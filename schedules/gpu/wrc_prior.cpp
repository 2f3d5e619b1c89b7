// GPU schedules (CUDA, OpenCL) of the prior. A launch is a stage, a thread one of its places, and neighbouring threads
// are neighbouring columns, so that loads and stores coalesce. Stages pass each other a chunk of planes at a time:
// enough to fill a GPU, little enough to stay mostly in its L2, and scratch that does not grow with the number of
// planes.
#include "schedules/wrc_prior.h"

#include "algebra/dimensions.h"

namespace upwell {

using namespace Halide;

namespace {

constexpr int chunk_pixels = 1 << 21;  // or one plane
constexpr int most_planes = 1 << 10;   // of a chunk; a launch has no more than 65535
constexpr int columns = 64, rows = 4;  // of a block
constexpr auto guard = TailStrategy::GuardWithIf;

class ChunkSchedule {
public:
    ChunkSchedule(Func last, const WrcPriorProblem &p)
        : last(last),
          planes(clamp(chunk_pixels / max(p.columns.reads.high, 1) / max(p.rows.reads.high, 1), 1, most_planes)) {}

    void output(Func f) {
        f.split(c, chunk, c, planes, guard);
        launch(f);
    }

    void stage(Func f) {
        f.compute_at(last, chunk);
        launch(f);
    }

    // The sum is found by the thread that stores f.
    void stage(Func f, Func sum) {
        stage(f);
        sum.compute_at(f, thread_x);
    }

    // A thread finds all of a dimension.
    void all_in_thread(Func f, Func sum, RVar terms, Var dimension, int extent) {
        f.bound(dimension, 0, extent).reorder(dimension, thread_x, thread_y, block_y, block_x, c).unroll(dimension);
        sum.compute_at(f, thread_x).unroll(dimension).update().reorder(dimension, terms).unroll(dimension);
    }

    // A thread a column.
    void by_columns(Func f, Func sum) {
        f.compute_at(last, chunk)
            .split(x, block_x, thread_x, columns, guard)
            .reorder(thread_x, block_x, c)
            .gpu_blocks(block_x, c)
            .gpu_threads(thread_x)
            .never_partition_all();
        sum.compute_at(f, thread_x);
    }

    // A sum over columns, a block a plane.
    void by_planes(Func f, Func sum, RVar column) {
        RVar outer("outer"), inner("inner");
        Var part("part");
        Func part_sum = sum.update().split(column, outer, inner, columns, guard).rfactor(inner, part);
        f.split(c, chunk, c, planes, guard)
            .split(c, c, thread_x, 1)
            .gpu_blocks(c)
            .gpu_threads(thread_x)
            .never_partition_all();
        sum.compute_at(f, thread_x);
        part_sum.in().compute_at(f, c).gpu_threads(part);
        part_sum.compute_at(part_sum.in(), part);
    }

    const Var chunk{"chunk"}, thread_x{"thread_x"};

private:
    // Blocks of rows first: there may be more than 65535.
    void launch(Func f) {
        f.tile(x, y, block_x, block_y, thread_x, thread_y, columns, rows, guard)
            .reorder(thread_x, thread_y, block_y, block_x, c)
            .gpu_blocks(block_y, block_x, c)
            .gpu_threads(thread_x, thread_y)
            .never_partition_all();
    }

    Func last;
    const Expr planes;
    const Var block_x{"block_x"}, block_y{"block_y"}, thread_y{"thread_y"};
};

}  // namespace

void schedule_on_gpu(WrcPrior &parts) {
    ChunkSchedule s(parts.output, parts.problem);
    s.output(parts.output);
    s.stage(parts.maps.widened);
}

void schedule_on_gpu(WrcPriorBackward &parts) {
    ChunkSchedule s(parts.d_mixed, parts.problem);
    s.output(parts.d_mixed);
    s.all_in_thread(parts.d_mixed, parts.mixed_sum, parts.read, tap, wrc_taps);
    s.output(parts.d_value);
    parts.value_sum.compute_at(parts.d_value, s.thread_x);
    s.by_planes(parts.d_lam, parts.lam_sum, parts.column);
    parts.d_value.compute_with(parts.d_mixed, s.chunk);
    parts.d_lam.compute_with(parts.d_mixed, s.chunk);

    s.stage(parts.maps.widened);
    s.stage(parts.d_pixels);
    s.stage(parts.d_widened.in(), parts.d_widened);
    s.all_in_thread(parts.d_widened.in(), parts.d_widened, parts.pixel, parts.d_widened.args()[2], wrc_parts);
    s.by_columns(parts.lam_rows.in(), parts.lam_rows);
}

}  // namespace upwell
