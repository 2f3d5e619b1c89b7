// GPU schedules (CUDA, OpenCL) of the PCDC family's adjoints. What leads to d_v is stored by launches of its own; then
// every part of the tiles' records is a launch.
#include "schedules/gpu/pcdc.h"

namespace upwell::pcdc {

using namespace Halide;
using namespace gpu;

namespace {

// What a thread has at a time.
struct Choice {
    Block difference, hidden, back;  // where there are hidden channels
    int outputs, columns;            // of the weights' gradients: of the lanes' sums, and side by side
    int map_rows;
};

void add_image(Space &space, const BlockKnobs &block, const std::string &what, const Func &f, int sums) {
    space.add(block.channels, "channels of a thread at a time: " + what, 16, {8, 16, 32});
    space.add(block.pixels, "pixels of a thread: " + what, is_double(f) ? 2 : 4, {2, 4});
    space.require("a thread's sums take at most 192 registers: " + what, [=, &block](const Space &s) {
        return registers(f, sums * s[block.channels] * s[block.pixels]) <= most_registers;
    });
}

constexpr int padded_columns = 33;  // neither lanes of columns nor lanes of channels meet in one bank

Choice settled_choice(const PcdcKnobs &knobs, const Func &record, bool has_hidden) {
    Space space;
    if (has_hidden) {
        add_image(space, knobs.difference, "difference", record, 1);
        add_image(space, knobs.hidden, "hidden channels", record, 2);
        add_image(space, knobs.back, "gradient of the difference", record, 1);
    }
    space.add(knobs.weights.channels, "outputs of a thread that adds the weights' gradients", 8, {4, 8, 16});
    space.add(knobs.weights.pixels, "columns of the weights' gradients at a time", is_double(record) ? 4 : 8,
              {2, 4, 8});
    space.add(knobs.spread.pixels, "rows of a map's gradient of a thread", is_double(record) ? 2 : 4, {2, 4, 8});
    space.require("the sums of lanes take at most 48 KB", [&](const Space &s) {
        return padded_columns * GatheredBackward::output_block * s[knobs.weights.pixels] * record.types()[0].bytes() <=
               most_shared;
    });
    space.settle(knobs);
    const auto image = [&](const BlockKnobs &block) {
        return has_hidden ? Block{space[block.channels], space[block.pixels]} : Block{};
    };
    return {image(knobs.difference),       image(knobs.hidden),         image(knobs.back),
            space[knobs.weights.channels], space[knobs.weights.pixels], space[knobs.spread.pixels]};
}

// A sum over f's channels, in registers where f is stored.
void make_sum(Func f, const LoopLevel &level, const Block &b, const RVar &sum) {
    f.compute_at(level);
    in_registers(f, o, b, {{sum}});
}

void store_hidden(const Difference &d, const Hidden &hidden, HiddenBackward &a, const Choice &choice) {
    const auto store = [](Func f, const Block &b) { return LoopLevel(f, store_image(f, o, b, tile_of(b))); };
    const Block &b = choice.hidden;
    Func u = hidden.u;
    for (Func f : {u, a.d_s, a.d_v}) {
        f.compute_root().reorder_storage(x, row, o, g, phase, n);
    }
    make_difference(d, store(u, choice.difference), choice.difference);
    const LoopLevel in_d_s = store(a.d_s, b);
    make_sum(hidden.s, in_d_s, b, hidden.sum);
    make_sum(a.d_h, in_d_s, b, a.score);
    make_sum(a.d_u, store(a.d_v, choice.back), choice.back, a.sum);
}

// A lane sums a column of the tile for all outputs of a block, in registers; then the lanes' sums are summed, a thread
// for an output.
void schedule_weights(GatheredBackward &a, int k, const Choice &choice) {
    constexpr int outputs = GatheredBackward::output_block;
    const int thread_outputs = choice.outputs;
    auto &[tile, places, one] = a.weights[k];
    const int across = one ? 1 : choice.columns;
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
        .align_storage(lane, padded_columns)
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
void schedule_map(GatheredBackward &a, int k, const RDom &places, Func f, const Var &f_row,
                  const std::vector<RVar> &sums, const Choice &choice) {
    const Block b{GatheredBackward::channel_block, choice.map_rows};
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
void schedule_cells(GatheredBackward &a, int k) {
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

void schedule_on_gpu(const Difference &d, const Hidden *hidden, HiddenBackward *adjoint, Func, GatheredBackward &a,
                     const PcdcKnobs &knobs) {
    const Choice choice = settled_choice(knobs, a.record, adjoint != nullptr);
    stage_inputs(d);
    if (adjoint) {
        store_hidden(d, *hidden, *adjoint, choice);
    }
    const int parts = int(a.weights.size());
    for (int k = 0; k < parts; k++) {
        schedule_weights(a, k, choice);
    }
    schedule_map(a, parts, a.query_places, a.d_query, row, {a.query_outputs}, choice);
    if (d.taps) {
        schedule_map(a, parts + 1, a.frame_places, a.frame, line, {a.reached.x, a.reached.y}, choice);
    } else {
        schedule_cells(a, parts + 1);
    }
}

}  // namespace upwell::pcdc
