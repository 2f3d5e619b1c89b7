// GPU schedules (CUDA, OpenCL) of the PCDC family's forward passes and moments. A thread finds some pixels' hidden
// channels block by block in registers; nothing of them reaches memory.
#include "pcdc.h"

namespace upwell::pcdc {

using namespace Halide;

namespace gpu {

namespace {

constexpr int vector = 4;  // channels of one load
constexpr int threads_x = 32, threads_y = 4;

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

Var store_image(Func f, const Var &lane, const Block &b) {
    Var lane_block("lane_block"), bx("bx"), by("by"), tx("tx"), ty("ty"), inner("inner"), pixel("pixel");
    f.split(x, bx, tx, threads_x, guard)
        .split(row, by, ty, threads_y * b.pixels, guard)
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

Block block_for(const Func &f) {
    return {32, is_double(f) ? 1 : 2};
}

// h of a tile in shared memory: blocks of channels that fit.
constexpr int shared_channels(bool is_double) {
    return is_double ? 16 : 32;
}

// h of a tile, made by threads of its own, for all threads of the block.
void share_hidden(const Difference &d, const Hidden &hidden, Func h, const LoopLevel &level) {
    const bool wide = is_double(h);
    const Block b{shared_channels(wide), wide ? 1 : 2};
    Var pixel("pixel"), ty("ty");
    h.compute_at(level)
        .align_storage(x, 33)  // neither lanes of columns nor lanes of channels meet in one bank
        .reorder_storage(x, o, row, g, phase, n)
        .split(row, ty, pixel, b.pixels, whole)
        .bound_extent(o, b.channels)
        .reorder(o, pixel, x, ty)
        .unroll(o)
        .unroll(pixel)
        .gpu_threads(x, ty);
    make_hidden(d, hidden, {h, x}, b, {8, b.pixels});
}

}  // namespace

}  // namespace gpu

using namespace gpu;

void schedule_on_gpu(const Difference &d, Func, Func output) {
    const Block b{32, is_double(output) ? 2 : 4};
    stage_inputs(d);
    make_difference(d, {output, store_image(output, o, b)}, b);
}

void schedule(const Difference &d, const Hidden &hidden, JointScores &s) {
    const Block b = block_for(s.output), scores{16, b.pixels};
    stage_inputs(d);
    Var bx("bx"), by("by"), tx("tx"), ty("ty"), inner("inner"), pixel("pixel"), block("score_block");
    s.output.split(x, bx, tx, 32, guard)
        .split(row, by, ty, gpu_tile.rows, guard)
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
    make_hidden(d, hidden, {s.sum, hidden_block}, b, {8, b.pixels});
}

void schedule_on_gpu(const Difference &d, const Hidden &hidden, Statistics &s) {
    const int channels = shared_channels(is_double(s.h));
    stage_inputs(d);
    Var block("lane_block"), lane("lane");
    s.output.bound(t, 0, 2)
        .split(o, block, lane, channels, whole)
        .reorder(t, lane, block, g, phase, n, tile_x, tile_y)
        .unroll(t)
        .gpu_threads(lane)
        .never_partition_all();
    const LoopLevel in_block{s.output, launch_blocks(s.output.fuse(block, g, block), tile_x, tile_y, block)};
    share_hidden(d, hidden, s.h, in_block);
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

void schedule_on_gpu(const Difference &d, const Hidden &hidden, Moments &m) {
    const int channels = shared_channels(is_double(m.h));
    stage_inputs(d);
    Var block("lane_block"), lane("lane"), score("score"), scores("scores");
    m.output.split(o, block, lane, channels, whole)
        .split(c, scores, score, threads_y, guard)
        .reorder(lane, score, scores, block, g, tile_x, tile_y, phase, n)
        .fuse(block, g, block)
        .gpu_threads(lane, score)
        .never_partition_all();
    share_hidden(d, hidden, m.h, {m.output, launch_blocks(m.output, tile_x, tile_y, block)});
    m.d_scores.compute_at(m.output, scores).reorder_storage(x, row, c, phase, n).reorder(c, x, row);
    Var ty("ty"), pixel("pixel");
    m.d_scores.split(row, ty, pixel, gpu_tile.rows / threads_y, whole)
        .reorder(c, pixel, x, ty)
        .gpu_threads(x, ty)
        .never_partition_all();
    m.sum.compute_at(m.output, lane);
}

}  // namespace upwell::pcdc
