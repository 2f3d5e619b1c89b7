// GPU schedules (CUDA, OpenCL) of the PCDC family's adjoints. What leads to d_v is stored by launches of its own; then
// every part of the tiles' records is a launch.
#include "pcdc.h"

namespace upwell::pcdc {

using namespace Halide;
using namespace gpu;

namespace {

// A sum over f's channels, in registers where f is stored.
void make_sum(Func f, const LoopLevel &level, const Block &b, const RVar &sum) {
    f.compute_at(level);
    in_registers(f, o, b, {{sum}});
}

void store_hidden(const Difference &d, const Hidden &hidden, HiddenAdjoint &a) {
    const Block b{16, is_double(a.d_v) ? 2 : 4};
    Func u = hidden.u;
    for (Func f : {u, a.d_s, a.d_v}) {
        f.compute_root().reorder_storage(x, row, o, g, phase, n);
    }
    make_difference(d, {u, store_image(u, o, b)}, b);
    const LoopLevel in_d_s{a.d_s, store_image(a.d_s, o, b)};
    make_sum(hidden.s, in_d_s, b, hidden.sum);
    make_sum(a.d_h, in_d_s, b, a.score);
    make_sum(a.d_u, {a.d_v, store_image(a.d_v, o, b)}, b, a.sum);
}

// A lane sums a column of the tile for all outputs of a block, in registers; then the lanes' sums are summed, a thread
// for an output.
void schedule_weights(GatheredAdjoint &a, int k) {
    constexpr int outputs = GatheredAdjoint::output_block, thread_outputs = 8;
    auto &[tile, places, one] = a.weights[k];
    const int across = one ? 1 : is_double(a.record) ? 4 : 8;
    Stage part = a.record.update(k);
    RVar inner("inner"), turn("turn"), outer("outer" + std::to_string(k));
    part.allow_race_conditions()  // places are different ones
        .split(places.y, outer, inner, across, guard)
        .split(inner, turn, inner, std::min(across, outputs / thread_outputs), guard)  // no more threads than below
        .gpu_threads(places.x, inner)
        .never_partition_all();
    launch_blocks(part, tile_x, tile_y, g);
    Var lane("lane"), share("share"), own("own");
    Func lanes = tile.sum.update().rfactor(tile.pixels.x, lane);
    Func shared = lanes.in(tile.sum);
    tile.sum.compute_at({a.record, places.x});
    shared.compute_at({a.record, outer})
        .reorder_storage(lane, o, i, tap, g, tile_x, tile_y, phase, n)
        .align_storage(lane, 33)  // neither lanes of columns nor lanes of channels meet in one bank
        .bound_extent(o, outputs)
        .bound_extent(i, across)
        .split(o, share, own, thread_outputs, whole)
        .reorder(own, i, lane, share)
        .unroll(own)
        .unroll(i)
        .gpu_threads(lane, share);
    lanes.compute_at(shared, lane).bound_extent(o, thread_outputs).bound_extent(i, across).unroll(o).unroll(i);
    lanes.update().reorder(o, i, tile.pixels.y).unroll(o).unroll(i);
}

// Update k of the record, columns x rows x channels made by f: a thread has a column, some of its rows at a time.
void schedule_map(GatheredAdjoint &a, int k, const RDom &places, Func f, const Var &f_row,
                  const std::vector<RVar> &sums) {
    const Block b{GatheredAdjoint::channel_block, is_double(f) ? 2 : 4};
    Stage part = a.record.update(k);
    RVar rows("rows" + std::to_string(k)), pixel("pixel"), columns("columns"), thread("thread");
    part.allow_race_conditions()  // places are different ones
        .split(places.y, rows, pixel, b.pixels, guard)
        .split(places.z, columns, thread, 32, guard)
        .unroll(places.x)
        .unroll(pixel)
        .gpu_threads(thread)
        .never_partition_all();
    launch_blocks(part, tile_x, tile_y, g);
    f.compute_at({a.record, rows});
    in_registers(f, i, b, {Loops(sums.begin(), sums.end())}, f_row);
}

// Update k of the record, where the frame is one of cells.
void schedule_cells(GatheredAdjoint &a, int k) {
    const Block b{8, 1};
    Var bx("bx"), tx("tx"), by("by"), ty("ty"), block("output_block"), inner("inner");
    Func stored = a.across.in(a.frame);
    stored.compute_root()
        .split(o, block, inner, b.channels, guard)
        .split(column, bx, tx, 8, guard)
        .split(row, by, ty, gpu_tile.rows, guard)
        .reorder(inner, block, bx, tx, ty, by, g, tile_x, phase, n)
        .unroll(inner)
        .gpu_threads(tx, ty)
        .never_partition_all();
    launch_blocks(stored, tile_x, by, g);
    a.across.compute_at(stored, block);
    in_registers(a.across, o, b, {{a.pixels_across}});

    const RDom &places = a.frame_places;
    Stage part = a.record.update(k);
    RVar columns_block("columns_block"), some("some");
    part.allow_race_conditions()  // places are different ones
        .split(places.y, columns_block, some, 4, guard)
        .gpu_threads(places.x, some)
        .never_partition_all();
    launch_blocks(part, tile_x, tile_y, g);
    a.frame.compute_at({a.record, places.x});
}

}  // namespace

void schedule(const Difference &d, const Hidden *hidden, HiddenAdjoint *adjoint, Func, GatheredAdjoint &a) {
    stage_inputs(d);
    if (adjoint) {
        store_hidden(d, *hidden, *adjoint);
    }
    const int parts = int(a.weights.size());
    for (int k = 0; k < parts; k++) {
        schedule_weights(a, k);
    }
    schedule_map(a, parts, a.query_places, a.d_query, row, {a.query_outputs});
    if (d.taps) {
        schedule_map(a, parts + 1, a.frame_places, a.frame, line, {a.reached.x, a.reached.y});
    } else {
        schedule_cells(a, parts + 1);
    }
}

}  // namespace upwell::pcdc
