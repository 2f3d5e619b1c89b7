// CPU schedules of samples at offsets. What a pixel reads lies anywhere, but its channels can lie beside each other:
// lanes are channels, of copies of the map and of blocks of pixels, which are turned on the way in and out.
#include "schedules/offset_samples.h"

namespace upwell::offset_samples {

using namespace Halide;

namespace {

constexpr auto guard = TailStrategy::GuardWithIf;
constexpr int turned_pixels = 32;  // pixels of a row that are turned at a time
constexpr int strip_rows = 8;      // of a task

const Var pixels("pixels"), strip("strip"), channels("channels"), first("first"), vector("vector");

// The corners of a block of pixels: x is their lane.
void read_at(Func f, LoopLevel level, int lanes) {
    f.compute_at(level).vectorize(x, lanes, guard);
}

// A copy with channels innermost. Loads are vectors of pixels or cells.
void turn_at(Func turned, LoopLevel level, const Var &along, int lanes) {
    turned.compute_at(level).align_bounds(c, lanes).reorder(along, c).vectorize(along, lanes, guard);
}

// The map of a group, once for all its pixels.
void turn_map(Func low, Func user, int lanes) {
    low.compute_at(user, g).align_bounds(c, lanes).split(cell, first, cell, turned_pixels, guard);
    low.reorder(cell, c, first, g, n).vectorize(cell, lanes, guard).never_partition_all();
}

// Rows of pixels, some of them a task.
void by_strips(Func f, const std::vector<VarOrRVar> &inner, int lanes) {
    std::vector<VarOrRVar> order = inner;
    order.insert(order.end(), {pixels, y, strip, g, n});
    f.split(y, strip, y, strip_rows, guard)
        .split(x, pixels, x, turned_pixels, guard)
        .reorder(order)
        .vectorize(x, lanes, guard)
        .parallel(n)
        .parallel(g)
        .parallel(strip)
        .never_partition_all();
}

}  // namespace

void schedule_on_cpu(Samples &s, const Target &target) {
    const int lanes = s.problem.lanes;
    s.output.split(c, channels, c, 2 * lanes, guard);  // where a corner lies is found for two vectors at a time
    by_strips(s.output, {x, c, channels}, lanes);
    turn_map(s.low, s.output, lanes);
    for (Func f : {s.reads.cells, s.reads.weights}) {
        read_at(f, {s.output, pixels}, lanes);
    }
    s.high.compute_at(s.output, channels)
        .align_bounds(c, lanes)
        .split(c, vector, c, lanes)
        .reorder(c, vector, x)
        .vectorize(c)
        .never_partition_all();
}

// A pixel after the other gives to its corners; a task has a vector of channels for itself.
void schedule_on_cpu(DValue &d, const Target &target) {
    const int lanes = d.problem.lanes;
    d.d_value.split(c, channels, c, lanes, guard)
        .split(cell, first, cell, turned_pixels, guard)
        .reorder(cell, c, first, channels, g, n)
        .vectorize(cell, lanes, guard)
        .parallel(n)
        .parallel(g)
        .parallel(channels)
        .never_partition_all();
    RVar outer("outer"), inner("inner");
    d.low.compute_at(d.d_value, channels).bound_extent(c, lanes).vectorize(c, lanes);
    d.low.update()
        .split(d.pixels.y, outer, inner, turned_pixels, guard)
        .reorder(c, d.pixels.x, inner, outer, d.pixels.z)
        .vectorize(c, lanes)
        .unroll(d.pixels.x)
        .never_partition_all();
    for (Func f : {d.reads.cells, d.reads.weights}) {
        read_at(f, {d.low, outer}, lanes);
    }
    turn_at(d.high, {d.low, outer}, x, lanes);
}

void schedule_on_cpu(DOffsets &d, const Target &target) {
    const int lanes = d.problem.lanes;
    d.d_offsets.bound(axis, 0, 2).unroll(axis);
    by_strips(d.d_offsets, {x, axis}, lanes);
    turn_map(d.low, d.d_offsets, lanes);
    for (Func f : {d.reads.cells, d.reads.across, d.reads.down, d.reads.is_free}) {
        read_at(f, {d.d_offsets, pixels}, lanes);
    }
    turn_at(d.high, {d.d_offsets, pixels}, x, lanes);
    d.dots.compute_at(d.d_offsets, pixels).vectorize(x, lanes, guard);
    d.dots.update().reorder(d.lanes, x).atomic().vectorize(d.lanes);
    d.lane_dots.compute_at(d.dots, x).vectorize(lane);
    d.lane_dots.update().reorder(lane, d.blocks).vectorize(lane);
}

}  // namespace upwell::offset_samples
