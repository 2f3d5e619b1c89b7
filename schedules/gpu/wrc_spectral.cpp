// GPU schedules (CUDA, OpenCL) of the spectral solver. A launch is a stage, a thread one of its places, and
// neighbouring threads are neighbouring columns. Sums over blocks, rows or taps are found by the thread that stores
// them, in a fixed order. Stages pass each other a chunk of planes at a time: enough to fill a GPU, and scratch that
// does not grow with the number of planes.
#include "schedules/wrc_spectral.h"

#include "algebra/dimensions.h"

namespace upwell {

using namespace Halide;

namespace {

constexpr int chunk_pixels = 1 << 21;  // or one plane
constexpr int most_planes = 1 << 10;   // of a chunk, with blocks of rows; a launch has no more than 65535
constexpr int block_columns = 32, block_rows = 8;

class ChunkSchedule {
public:
    ChunkSchedule(Func first_output, const SpectrumSize &size)
        : first(first_output), planes(clamp(chunk_pixels / max(size.W(), 1) / max(size.h * size.scale, 1), 1,
                                            max(most_planes / max(size.scale, 1), 1))) {}

    // A loop over chunks, one of all outputs.
    void output(Func f) {
        f.split(c, chunk, c, planes, TailStrategy::GuardWithIf);
        if (f.name() != first.name()) {
            f.compute_with(first, chunk);
        }
        launch(f);
    }

    void interleaved_output(Func f) {
        f.bound(part, 0, 2).unroll(part);
        output(f);
    }

    void stage(Func f) {
        f.compute_at(first, chunk);
        launch(f);
    }

    // The thread that stores f finds the sum.
    void stage(Func f, Func sum) {
        stage(f);
        in_thread(sum, f);
    }

    void stage(const Fold &f) {
        stage(f.sum, f.direct);
        in_thread(f.reflected, f.sum);
    }

    void in_thread(Func sum, Func f) { sum.compute_at(f, thread_x); }

private:
    void launch(Func f) {
        const std::vector<Var> dimensions = f.args();
        const bool has_part = dimensions[0].name() == part.name();
        const Var columns = dimensions[has_part], rows = dimensions[has_part + 1];
        f.tile(columns, rows, block_x, block_y, thread_x, thread_y, block_columns, block_rows,
               TailStrategy::GuardWithIf);
        if (dimensions.size() - has_part == 4) {
            f.fuse(block, c, c);
        }
        std::vector<VarOrRVar> order{thread_x, thread_y, block_y, block_x, c};
        if (has_part) {
            order.insert(order.begin(), part);
        }
        f.reorder(order).gpu_blocks(block_y, block_x, c).gpu_threads(thread_x, thread_y).never_partition_all();
    }

    Func first;
    const Expr planes;
    const Var chunk{"chunk"}, block_x{"block_x"}, block_y{"block_y"}, thread_x{"thread_x"}, thread_y{"thread_y"};
};

void schedule_start(WrcSpectralFit &fit, ChunkSchedule &s) {
    s.stage(fit.kernel_columns, fit.kernel_column_sum);
    s.stage(fit.kernel_spectrum, fit.kernel_sum);
    s.stage(fit.right);
    s.stage(fit.folded);
    s.stage(fit.precision_sum.in(), fit.precision_sum);
    s.stage(fit.low_model);
}

}  // namespace

void schedule_on_gpu(WrcSpectral &parts) {
    ChunkSchedule s(parts.output, parts.start.problem.size);
    s.interleaved_output(parts.output);
    schedule_start(parts.start, s);
}

void schedule_on_gpu(WrcSpectralBackward &parts) {
    ChunkSchedule s(parts.d_precision, parts.start.problem.size);
    for (Func map : {parts.d_precision, parts.d_data_weight, parts.d_kernel}) {
        s.output(map);
    }
    s.interleaved_output(parts.d_spectrum);
    s.interleaved_output(parts.d_samples);
    schedule_start(parts.start, s);
    s.stage(parts.d_output);
    s.stage(parts.inverse);
    s.stage(parts.d_folded);
    s.stage(parts.d_low);
    s.stage(parts.d_right);
    s.stage(parts.d_sampled);
    s.stage(parts.d_kernel_spectrum);
    s.stage(parts.d_kernel_rows.in(), parts.d_kernel_rows);
    s.in_thread(parts.d_kernel_sum, parts.d_kernel);
}

}  // namespace upwell
