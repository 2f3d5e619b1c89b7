// GPU schedules (CUDA, OpenCL) of group statistics. A sum over a group is taken apart until there are threads enough,
// always at the same places, and put together always in the same order: no atomics, and the same bits every time.
// Neighbouring threads are neighbouring columns. Sums are found in registers; `in()` stores them.
#include "schedules/group_stats.h"

namespace upwell::group_stats {

using namespace Halide;

namespace {

constexpr auto guard = TailStrategy::GuardWithIf;

// Partial sums over a map's pixels (column, strip, g, n). A launch sums the strips of each channel, a block each, whose
// threads are its columns and rows; another one adds the channels.
void schedule_strips(Func sums, const RDom &pixels, Expr side, int thread_rows, int threads) {
    Var channel("channel"), line("line"), lines("lines"), block("block"), thread("thread");
    Func channel_sums = sums.update().rfactor(pixels.z, channel);
    Func line_sums = channel_sums.update().rfactor(pixels.y, line);

    Func channels = channel_sums.in();
    channels.compute_root()
        .fuse(n, channel, block)
        .reorder(column, block, strip, g)
        .gpu_blocks(block, strip, g)
        .gpu_threads(column);
    channels.specialize(side == 0);
    channel_sums.compute_at(channels, column);
    channel_sums.update().unroll(pixels.y);

    Func stored = line_sums.in();
    stored.compute_at(channels, block)
        .split(line, lines, line, thread_rows)
        .reorder(line, column, lines)
        .gpu_threads(column, lines)
        .unroll(line);
    line_sums.compute_at(stored, column).unroll(line);
    line_sums.update().reorder(line, pixels.x).unroll(line);

    sums.in()
        .compute_root()
        .fuse(column, strip, line)
        .split(line, block, thread, threads, guard)
        .reorder(thread, n, block, g)
        .gpu_blocks(n, block, g)
        .gpu_threads(thread)
        .never_partition_all();
    sums.compute_at(sums.in(), thread);
}

// Sum of a group's partial sums (g, n). A block is a group, a thread a column of the partial sums.
void schedule_total(Func total, const RDom &totals) {
    Var column("column"), thread("thread");
    Func column_sums = total.update().rfactor(totals.x, column);
    Func whole = total.in();
    whole.compute_root().split(n, n, thread, 1).reorder(thread, n, g).gpu_blocks(n, g).gpu_threads(thread);
    total.compute_at(whole, thread);
    column_sums.in().compute_at(whole, n).gpu_threads(column);
    column_sums.compute_at(column_sums.in(), column);
}

}  // namespace

void schedule_on_gpu(GroupStats &s, Expr side, const GroupStatsKnobs &knobs) {
    Space space;
    // As many loads are under way.
    space.add(knobs.thread_rows, "rows of a strip that a thread sums side by side", 4, {1, 2, 4, 8});
    space.add(knobs.threads, "threads of a block where there is little to do", 32, {32, 64, 128});
    space.settle(knobs);
    const int thread_rows = space[knobs.thread_rows], threads = space[knobs.threads];
    Var block("block"), thread("thread");
    schedule_strips(s.sums, s.pixels, side, thread_rows, threads);
    schedule_total(s.mean, s.totals);
    schedule_strips(s.squares, s.pixels, side, thread_rows, threads);
    schedule_total(s.variance, s.totals);
    s.output.bound(kind, 0, 2)
        .unroll(kind)
        .split(g, block, thread, threads, guard)
        .reorder(kind, thread, n, block)
        .gpu_blocks(n, block)
        .gpu_threads(thread)
        .never_partition_all();
}

// A block is a tile of the map; it holds the blurred map of the tile and one pixel around it.
void schedule_on_gpu(GroupStatsBackward &a, Expr side, const GroupStatsKnobs &knobs) {
    Space space;
    space.add(knobs.tile_columns, "columns of a tile", 30, {30, 62});
    space.add(knobs.tile_rows, "rows of a tile", 14, {2, 6, 14});
    space.require("a tile and what is around it have at most 512 threads",
                  [&](const Space &s) { return (s[knobs.tile_columns] + 2) * (s[knobs.tile_rows] + 2) <= 512; });
    space.settle(knobs);
    constexpr auto whole = TailStrategy::PredicateStores;  // so that every tile has the same size
    Var plane("plane"), block_x("block_x"), block_y("block_y"), thread_x("thread_x"), thread_y("thread_y");
    a.output.fuse(c, n, plane)
        .split(x, block_x, thread_x, space[knobs.tile_columns], whole)
        .split(y, block_y, thread_y, space[knobs.tile_rows], whole)
        .reorder(thread_x, thread_y, plane, block_x, block_y)
        .gpu_blocks(plane, block_x, block_y)
        .gpu_threads(thread_x, thread_y)
        .never_partition_all();
    a.output.specialize(side == 0);
    a.bordered.compute_at(a.output, plane).gpu_threads(x, y);
}

}  // namespace upwell::group_stats
