// GPU schedules (CUDA, OpenCL) of the PCDC family's forward passes and moments. A thread finds some pixels' hidden
// channels block by block in registers; nothing of them reaches memory.
#include "schedules/gpu/pcdc.h"

namespace upwell::pcdc {

using namespace Halide;

namespace gpu {

namespace {

constexpr int vector = 4;  // channels of one load

}  // namespace

void in_registers(Func f, const Var &lane, const Block &b, const std::vector<Loops> &updates, const Var &row) {
    Var inner("inner"), group("vector");
    f.bound_extent(lane, b.channels)
        .bound_extent(row, b.pixels)
        .split(lane, group, inner, vector, whole)
        .reorder(inner, group, row)
        .vectorize(inner)
        .unroll(group)
        .unroll(row);
    for (size_t k = 0; k < updates.size(); k++) {
        Loops order{inner, group, row};
        order.insert(order.end(), updates[k].begin(), updates[k].end());
        f.update(int(k))
            .split(lane, group, inner, vector, whole)
            .reorder(order)
            .vectorize(inner)
            .unroll(group)
            .unroll(row);
    }
}

Var store_image(Func f, const Var &lane, const Block &b, const Tile &tile) {
    Var lane_block("lane_block"), bx("bx"), by("by"), tx("tx"), ty("ty"), inner("inner"), pixel("pixel");
    f.split(x, bx, tx, tile.columns, guard)
        .split(row, by, ty, tile.rows, guard)
        .split(ty, ty, pixel, b.pixels, guard)
        .split(lane, lane_block, inner, b.channels, guard)
        .reorder(inner, pixel, lane_block, tx, ty, bx, by, g, phase, n)
        .unroll(inner)
        .unroll(pixel)
        .gpu_threads(tx, ty)
        .never_partition_all();
    launch_blocks(f, bx, by, g);
    return lane_block;
}

void stage_inputs(const Difference &d) {
    if (!d.taps) {
        return;
    }
    Var bx("bx"), by("by"), tx("tx"), ty("ty");
    Func padded = d.taps->key.padded;
    padded.compute_root()
        .split(x, bx, tx, threads_x, guard)
        .split(row, by, ty, 2 * threads_y, guard)
        .reorder(tx, ty, bx, by, i, g, phase, n)
        .fuse(i, g, i)
        .gpu_threads(tx, ty)
        .never_partition_all();
    launch_blocks(padded, bx, by, i);
}

void make_difference(Difference d, const LoopLevel &level, const Block &b) {
    d.v.compute_at(level);
    std::vector<Loops> loops{{d.channel}};
    if (d.taps) {
        loops.insert(loops.begin(), {d.tap.x, d.tap.y});
    }
    in_registers(d.v, o, b, loops);
}

void make_hidden(const Difference &d, const Hidden &hidden, const LoopLevel &level, const Block &b,
                 const Block &inputs) {
    Func u = hidden.u, s = hidden.s;
    RVar block("sum_block"), inner("sum_inner");
    s.compute_at(level);
    s.update().split(hidden.sum, block, inner, inputs.channels, guard).unroll(inner);
    in_registers(s, o, b, {{inner, block}});
    u.compute_at(s, block);
    in_registers(u, o, inputs);
    make_difference(d, {s, block}, inputs);
}

namespace {

// Rows of a thread, by hand.
int thread_rows(const Func &f) {
    return is_double(f) ? 1 : 2;
}

void add_hidden(Space &space, const PcdcKnobs &knobs, int hidden_channels) {
    space.add(knobs.hidden.channels, "hidden channels that a thread finds at a time", hidden_channels, {8, 16, 32});
    space.add(knobs.difference.channels, "channels of the difference that a thread finds at a time", 8, {4, 8, 16, 32});
}

void add_tile(Space &space, const PcdcKnobs &knobs, const Knob &pixels, int rows) {
    space.add(knobs.tile_columns, "columns of a block of threads", 32, {32, 64});
    space.add(knobs.tile_rows, "rows of a block of threads", rows, {4, 8, 16, 32});
    space.require("a thread's pixels divide a block's rows",
                  [&](const Space &s) { return s[knobs.tile_rows] % s[pixels] == 0; });
    space.require("a block has 64 to 256 threads", [&](const Space &s) {
        const int threads = s[knobs.tile_columns] * s[knobs.tile_rows] / s[pixels];
        return threads >= 64 && threads <= 256;
    });
}

constexpr int padded_columns = 33;  // neither lanes of columns nor lanes of channels meet in one bank

// h of a tile, in shared memory.
struct SharedBlock {
    Block hidden, inputs;
};

SharedBlock settled_block(const PcdcKnobs &knobs, const Func &h) {
    Space space;
    add_hidden(space, knobs, is_double(h) ? 16 : 32);
    space.add(knobs.hidden.pixels, "pixels of a thread", thread_rows(h), {1, 2, 4});
    space.require("a thread's sums take at most 192 registers", [&](const Space &s) {
        const int channels = s[knobs.hidden.channels] + s[knobs.difference.channels];
        return registers(h, channels * s[knobs.hidden.pixels]) <= most_registers;
    });
    space.require("the hidden channels of a tile take at most 48 KB", [&](const Space &s) {
        return padded_columns * gpu_tile.rows * s[knobs.hidden.channels] * h.types()[0].bytes() <= most_shared;
    });
    space.settle(knobs);
    const int pixels = space[knobs.hidden.pixels];
    return {{space[knobs.hidden.channels], pixels}, {space[knobs.difference.channels], pixels}};
}

// h of a tile, made by threads of its own, for all threads of the block.
void share_hidden(const Difference &d, const Hidden &hidden, Func h, const LoopLevel &level,
                  const SharedBlock &shared) {
    const Block &b = shared.hidden;
    Var pixel("pixel"), ty("ty");
    h.compute_at(level)
        .align_storage(x, padded_columns)
        .reorder_storage(x, o, row, g, phase, n)
        .split(row, ty, pixel, b.pixels, whole)
        .bound_extent(o, b.channels)
        .reorder(o, pixel, x, ty)
        .unroll(o)
        .unroll(pixel)
        .gpu_threads(x, ty);
    make_hidden(d, hidden, {h, x}, b, shared.inputs);
}

}  // namespace

}  // namespace gpu

using namespace gpu;

void schedule_on_gpu(const Difference &d, Func, Func output, const PcdcKnobs &knobs) {
    const int pixels = 2 * thread_rows(output);
    Space space;
    space.add(knobs.difference.channels, "channels of a thread at a time", 32, {8, 16, 32});
    space.add(knobs.difference.pixels, "pixels of a thread", pixels, {1, 2, 4, 8});
    add_tile(space, knobs, knobs.difference.pixels, threads_y * pixels);
    space.require("a thread's sums take at most 192 registers", [&](const Space &s) {
        return registers(output, s[knobs.difference.channels] * s[knobs.difference.pixels]) <= most_registers;
    });
    space.settle(knobs);
    const Block b{space[knobs.difference.channels], space[knobs.difference.pixels]};
    stage_inputs(d);
    make_difference(d, {output, store_image(output, o, b, {space[knobs.tile_columns], space[knobs.tile_rows]})}, b);
}

void schedule_on_gpu(const Difference &d, const Hidden &hidden, JointScores &s, const PcdcKnobs &knobs) {
    Space space;
    add_hidden(space, knobs, 32);
    space.add(knobs.scores.channels, "scores that a thread finds at a time", 16, {4, 8, 16});
    space.add(knobs.scores.pixels, "pixels of a thread", thread_rows(s.output), {1, 2, 4});
    add_tile(space, knobs, knobs.scores.pixels, gpu_tile.rows);
    space.require("a thread's sums take at most 192 registers", [&](const Space &values) {
        const int channels = values[knobs.hidden.channels] + values[knobs.difference.channels];
        return registers(s.output, (channels + values[knobs.scores.channels]) * values[knobs.scores.pixels]) <=
               most_registers;
    });
    space.settle(knobs);
    const int pixels = space[knobs.scores.pixels];
    const Block b{space[knobs.hidden.channels], pixels}, scores{space[knobs.scores.channels], pixels};
    stage_inputs(d);
    Var bx("bx"), by("by"), tx("tx"), ty("ty"), inner("inner"), pixel("pixel"), block("score_block");
    s.output.split(x, bx, tx, space[knobs.tile_columns], guard)
        .split(row, by, ty, space[knobs.tile_rows], guard)
        .split(ty, ty, pixel, b.pixels, guard)
        .split(c, block, inner, scores.channels, guard)
        .reorder(inner, pixel, tx, ty, block, bx, by, phase, n)
        .unroll(inner)
        .unroll(pixel)
        .gpu_threads(tx, ty)
        .never_partition_all();
    launch_blocks(s.output, bx, by, block);
    s.sum.compute_at(s.output, tx);
    RVar hidden_block("hidden_block"), hidden_inner("hidden_inner");
    s.sum.update().split(s.channels.x, hidden_block, hidden_inner, b.channels, guard).unroll(hidden_inner);
    in_registers(s.sum, c, scores, {{hidden_inner, hidden_block, s.channels.y}});
    make_hidden(d, hidden, {s.sum, hidden_block}, b, {space[knobs.difference.channels], pixels});
}

void schedule_on_gpu(const Difference &d, const Hidden &hidden, Statistics &s, const PcdcKnobs &knobs) {
    const SharedBlock b = settled_block(knobs, s.h);
    const int channels = b.hidden.channels;
    stage_inputs(d);
    Var block("lane_block"), lane("lane");
    s.output.bound(t, 0, 2)
        .split(o, block, lane, channels, whole)
        .reorder(t, lane, block, g, phase, n, tile_x, tile_y)
        .unroll(t)
        .gpu_threads(lane)
        .never_partition_all();
    const LoopLevel in_block{s.output, launch_blocks(s.output.fuse(block, g, block), tile_x, tile_y, block)};
    share_hidden(d, hidden, s.h, in_block, b);
    for (Func f : {s.mean, s.scatter}) {
        // Row by row: a sum of so many squares, all positive, would lose digits in one go.
        Var line_sum("line_sum"), ty("ty"), own("own");
        Func lines = f.update().rfactor(s.pixels.y, line_sum), shared = lines.in(f);
        f.compute_at(in_block).bound_extent(o, channels).gpu_threads(o).update().gpu_threads(o);
        shared.compute_at(in_block)
            .bound_extent(o, channels)
            .split(line_sum, ty, own, gpu_tile.rows / threads_y, whole)
            .reorder(own, o, ty)
            .gpu_threads(o, ty);
        lines.compute_at(shared, own);
    }
}

void schedule_on_gpu(const Difference &d, const Hidden &hidden, Moments &m, const PcdcKnobs &knobs) {
    const SharedBlock b = settled_block(knobs, m.h);
    const int channels = b.hidden.channels;
    stage_inputs(d);
    Var block("lane_block"), lane("lane"), score("score"), scores("scores");
    m.output.split(o, block, lane, channels, whole)
        .split(c, scores, score, threads_y, guard)
        .reorder(lane, score, scores, block, g, tile_x, tile_y, phase, n)
        .fuse(block, g, block)
        .gpu_threads(lane, score)
        .never_partition_all();
    share_hidden(d, hidden, m.h, {m.output, launch_blocks(m.output, tile_x, tile_y, block)}, b);
    m.d_scores.compute_at(m.output, scores).reorder_storage(x, row, c, phase, n).reorder(c, x, row);
    Var ty("ty"), pixel("pixel");
    m.d_scores.split(row, ty, pixel, gpu_tile.rows / threads_y, whole)
        .reorder(c, pixel, x, ty)
        .gpu_threads(x, ty)
        .never_partition_all();
    m.sum.compute_at(m.output, lane);
}

}  // namespace upwell::pcdc
