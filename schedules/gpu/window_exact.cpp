// GPU schedules (CUDA, OpenCL) of the window kernel and its transposes at an integer ratio: neighbouring threads are
// neighbouring pixel columns, so that loads and stores coalesce.
#include "schedules/unroll.h"
#include "schedules/window.h"

#include "algebra/dimensions.h"
#include "schedules/gpu/weights.h"

namespace upwell {

using namespace Halide;

namespace {

// Weights or accumulators of a thread, in units of 32 bits: as many as leave registers for the rest.
constexpr int held = 144;

int largest_divisor(int value, int limit) {
    int divisor = std::min(value, limit);
    while (value % divisor != 0) {
        divisor--;
    }
    return divisor;
}

// The most that leave enough.
constexpr int most_held = 192;

// Pixel rows of a cell that share a loaded value.
int hand_rows(const Problem &p) {
    const int limit = held / (p.window.size * p.window.size * words(p));
    return largest_divisor(p.rows->ratio(), std::clamp(limit, 1, 5));
}

int hand_columns(int groups) {
    int columns = 32;
    while (columns * groups > 256) {  // threads that find registers
        columns /= 2;
    }
    return std::max(1, columns);
}

Space row_space(const Problem &p, const WindowKnobs &knobs) {
    const int ratio = p.rows->ratio(), weights = p.window.size * p.window.size * words(p), rows = hand_rows(p);
    const int groups = ratio / rows, columns = hand_columns(groups), cells = std::max(1, 4 / groups);
    std::vector<int> divisors;
    for (int divisor = 1; divisor <= std::min(ratio, 8); divisor++) {
        if (ratio % divisor == 0) {
            divisors.push_back(divisor);
        }
    }
    Space space;
    space.add(knobs.unroll_rows, "pixel rows of a thread: they share a loaded value", rows, divisors);
    space.add(knobs.threads_x, "threads of a block along columns", columns, {8, 16, 32, 64, 128});
    space.add(knobs.threads_z, "cell rows of a block", cells, {1, 2, 4, 8});
    const int most = std::max(most_held, rows * weights);
    space.require("a thread holds at most " + std::to_string(most) + " registers of weights, " +
                      std::to_string(weights) + " for each of its unroll_rows",
                  [=, &knobs](const Space &s) { return s[knobs.unroll_rows] * weights <= most; });
    require_threads(space, columns * groups * cells, "threads_x * threads_z * ratio / unroll_rows",
                    [=, &knobs](const Space &s) {
                        return s[knobs.threads_x] * s[knobs.threads_z] * (ratio / s[knobs.unroll_rows]);
                    });
    return space;
}

// Blocks of the output's update over rows: some columns of a few cells. A thread has a group of rows, unrolled.
struct RowBlocks {
    RVar ty{"ty"}, row_in_group{"row_in_group"}, by{"by"}, tz{"tz"}, no{"no"}, ni{"ni"}, block{"block"};
    Var bx{"bx"}, tx{"tx"};
};

Stage split_rows(const Problem &p, Func output, const RDom &pixels, const Space &space, const WindowKnobs &knobs,
                 const RowBlocks &b) {
    return output.update()
        .allow_race_conditions()  // every row is written once
        .split(pixels.x, b.ty, b.row_in_group, space[knobs.unroll_rows])
        .split(pixels.y, b.by, b.tz, space[knobs.threads_z], guard)
        .split(x, b.bx, b.tx, space[knobs.threads_x], guard)
        .split(pixels.z, b.no, b.ni, samples_of_launch(p), guard)
        .unroll(b.row_in_group);
}

}  // namespace

// A thread has a column of a few pixel rows of one cell. Its weights stay in registers and serve every channel of its
// block; a loaded value serves all of its rows.
void schedule_exact_on_gpu(Reassembly &parts, const WindowKnobs &knobs) {
    const Problem &p = parts.problem;
    Space space = row_space(p, knobs);
    add_block_channels(space, knobs);
    space.settle(knobs);
    const int rows = space[knobs.unroll_rows];
    const RowBlocks b;
    Var bc("bc"), ci("ci");
    split_rows(p, parts.output, parts.pixels, space, knobs, b)
        .split(c, bc, ci, channels_of_block(p, rows, space[knobs.block_channels]), guard)
        .reorder(b.row_in_group, ci, b.tx, b.ty, b.tz, b.bx, b.by, bc, b.ni, b.no)
        .fuse(b.bx, b.by, b.block)
        .gpu_threads(b.tx, b.ty, b.tz)
        .gpu_blocks(b.block, bc, b.ni)
        .never_partition_all();
    parts.sum.compute_at(parts.output, ci).bound_extent(row, rows).unroll(row);
    parts.sum.update()
        .reorder(row, parts.window.x, parts.window.y)
        .unroll(row)
        .unroll(parts.window.x)
        .unroll(parts.window.y);
    parts.weights.window.compute_at(parts.output, b.tx).bound_extent(y, rows).unroll(y);
    schedule_weights_on_gpu(p, parts.weights, parts.weights.window);
}

// A thread has a column of a few pixel rows of one cell; an accumulator is a window cell of a row, summed over
// channels.
void schedule_exact_on_gpu(ReassemblyWeightBackward &parts, const WindowKnobs &knobs) {
    const Problem &p = parts.problem;
    const Space space = row_space(p, knobs);
    space.settle(knobs);
    const int size = p.window.size, rows = space[knobs.unroll_rows];
    const RowBlocks b;
    split_rows(p, parts.output, parts.pixels, space, knobs, b)
        .reorder(tap, b.row_in_group, b.tx, b.ty, b.tz, b.bx, b.by, b.ni, b.no)
        .unroll(tap)
        .fuse(b.bx, b.by, b.block)
        .gpu_threads(b.tx, b.ty, b.tz)
        .gpu_blocks(b.block, b.ni)
        .never_partition_all();
    parts.output.bound(tap, 0, p.op.taps.count());
    parts.d_window.compute_at(parts.output, b.tx).bound_extent(y, rows).unroll(y);
    unroll_inner(parts.d_window, {size, size});
    parts.d_window.update().reorder(y, jx, jy, x, parts.channel.x).unroll(y).unroll(jx).unroll(jy);
    schedule_weights_backward_on_gpu(parts, b.row_in_group);
}

}  // namespace upwell
