// CPU schedules of sums over taps at listed offsets: lanes are pixels side by side. A task is a strip of rows; what
// some channels of it read is copied first, borders and all, so that taps are plain loads.
#include "schedules/listed_taps.h"

namespace upwell::listed_taps {

using namespace Halide;

namespace {

constexpr auto guard = TailStrategy::GuardWithIf;
constexpr int strip_rows = 4;  // of cells

const Var strip("strip"), pixel("pixel"), wide("wide"), channels("channels"), taps("taps");

struct Registers {
    int all, lanes;  // vectors that sums may take; elements of one
    int channels;    // so many that a tile's sums are kept in registers of

    Registers(const Target &target, Type type)
        : all(target.has_feature(Target::AVX512_Skylake) ? 24 : 12), lanes(target.natural_vector_size(type)),
          channels(std::clamp(all * lanes / tile, 1, 8)) {}
};

// Sums of a tile and of so many of `each`, one of all else, in registers.
void keep(Func sums, LoopLevel at, Var each, int count, const std::vector<VarOrRVar> &over, const Registers &r) {
    std::vector<VarOrRVar> order{u, each};
    order.insert(order.end(), over.begin(), over.end());
    sums.compute_at(at).vectorize(u, r.lanes).unroll(u).unroll(each);
    fix_extents(sums, tile, each, count);
    sums.update().reorder(order).vectorize(u, r.lanes).unroll(u).unroll(each);
}

// A copy of rows. Its ends are read through a table.
void copy_at(Func lines, LoopLevel at, const Registers &r) {
    lines.compute_at(at).vectorize(x, r.lanes, guard);
}

// Weights of a strip's tiles, taps one behind the other: on the map they lie as far apart as maps are large, often in
// one set of a cache.
void lay_out_at(Func of_tile, LoopLevel at, const Registers &r) {
    of_tile.compute_at(at)
        .bound_extent(u, tile)
        .reorder_storage(u, t, b, s, j, n)
        .reorder(u, b, t, s, j, n)
        .vectorize(u, r.lanes)
        .unroll(u);
}

// Tiles of a row side by side, a strip of rows a task.
void by_strips(Func output, const std::vector<VarOrRVar> &inner, const std::vector<VarOrRVar> &outer,
               const Registers &r) {
    std::vector<VarOrRVar> order = inner;
    order.push_back(wide);
    order.insert(order.end(), outer.begin(), outer.end());
    order.insert(order.end(), {strip, n});
    output.split(j, strip, j, strip_rows, guard)
        .split(x, wide, pixel, tile, guard)
        .reorder(order)
        .vectorize(pixel, r.lanes)
        .parallel(strip)
        .parallel(n);
}

}  // namespace

void schedule_on_cpu(Sum &f, const Target &target) {
    const Registers r(target, f.output.types()[0]);
    f.output.split(c, channels, c, r.channels, guard);
    by_strips(f.output, {pixel, c}, {s, j, channels}, r);
    keep(f.sums, {f.output, wide}, c, r.channels, {f.each.x}, r);
    copy_at(f.lines, {f.output, channels}, r);
    f.lines.specialize(f.is_dense);
    lay_out_at(f.of_tile, {f.output, strip}, r);
}

void schedule_on_cpu(Dot &f, const Target &target) {
    const Registers r(target, f.output.types()[0]);
    const int count = std::min(tap_block, std::max(1, r.all * r.lanes / tile));
    f.output.split(t, taps, t, tap_block, guard);
    by_strips(f.output, {pixel, t}, {taps, s, j}, r);
    Var part("part");
    f.total.compute_at(f.output, strip).bound_extent(u, tile).vectorize(u, r.lanes);
    f.total.update()
        .split(t, part, t, count, TailStrategy::RoundUp)
        .reorder({u, t, part, b, s, j, f.blocks.x})
        .vectorize(u, r.lanes)
        .unroll(u)
        .unroll(t);
    keep(f.products, {f.total, part}, t, count, {f.channels.x}, r);
    copy_at(f.lines, {f.total, f.blocks.x}, r);
    f.lines.specialize(f.is_dense);
}

void schedule_on_cpu(Transposed &f, const Target &target) {
    const Registers r(target, f.output.types()[0]);
    f.output.split(c, channels, c, r.channels, guard);
    by_strips(f.output, {pixel, c}, {j, channels}, r);
    keep(f.sums, {f.output, wide}, c, r.channels, {f.each.x, f.each.y}, r);
    copy_at(f.lines, {f.output, channels}, r);
    lay_out_at(f.of_tile, {f.output, strip}, r);
}

void schedule_on_cpu(Fold &f, const Target &target) {
    const int lanes = target.natural_vector_size(f.output.types()[0]);
    f.output.vectorize(x, lanes, guard).parallel(c).parallel(n);
    f.sums.compute_at(f.output, j).vectorize(x, lanes, guard);
    f.sums.update().reorder(x, f.columns.x).vectorize(x, lanes, guard);
    f.of_rows.compute_at(f.output, j).vectorize(x, lanes, guard);
    f.of_rows.update().reorder(x, f.rows.x).vectorize(x, lanes, guard);
}

}  // namespace upwell::listed_taps
