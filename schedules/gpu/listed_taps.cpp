// GPU schedules (CUDA, OpenCL) of sums over taps at listed offsets. A thread is a pixel and some channels, or some
// taps, whose sums it keeps in registers: what it finds of a tap in tables, and the weight, serves all of its channels,
// and a pixel's gradient all of its taps. What lies beyond the map is read through the tables, never stored.
#include "schedules/listed_taps.h"
#include "schedules/gpu/pixels.h"

namespace upwell::listed_taps {

using namespace Halide;
using pixels::thread_x;

namespace {

constexpr auto guard = TailStrategy::GuardWithIf;
constexpr int thread_channels = 8;
constexpr int thread_taps = 7;  // a row of FeatUp's 7 x 7

const Var several("several");

// A launch of so many of `each` a thread.
void launch(Func output, const Var &each, int count, std::vector<Var> others) {
    output.split(each, several, each, count, guard).unroll(each);
    others.insert(others.end(), {several, n});
    pixels::launch(output, x, j, {each}, others);
}

// Sums of a thread, one of all but `each`.
void keep(Func sums, LoopLevel at, const Var &each, int count, const std::vector<VarOrRVar> &over) {
    fix_extents(sums, 1, each, count);
    sums.compute_at(std::move(at)).unroll(each).never_partition_all();
    std::vector<VarOrRVar> order{each};
    order.insert(order.end(), over.begin(), over.end());
    sums.update().reorder(order).unroll(each).never_partition_all();
}

}  // namespace

void schedule_on_gpu(Sum &f) {
    launch(f.output, c, thread_channels, {s});
    keep(f.sums, {f.output, thread_x}, c, thread_channels, {f.each.x});
}

void schedule_on_gpu(Dot &f) {
    launch(f.output, t, thread_taps, {s});
    keep(f.total, {f.output, thread_x}, t, thread_taps, {f.blocks.x});
    keep(f.products, {f.total, f.blocks.x}, t, thread_taps, {f.channels.x});
}

void schedule_on_gpu(Transposed &f) {
    launch(f.output, c, thread_channels, {});
    keep(f.sums, {f.output, thread_x}, c, thread_channels, {f.each.x, f.each.y});
}

void schedule_on_gpu(Fold &f) {
    pixels::launch(f.output, x, j, {}, {c, n});
    f.sums.compute_at(f.output, thread_x).update().never_partition_all();
    f.of_rows.compute_at(f.sums, f.columns.x).update().never_partition_all();
}

}  // namespace upwell::listed_taps
