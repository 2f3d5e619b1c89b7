// CPU schedules of the window kernel and its transposes at an integer ratio: lanes are pixel columns.
#include "../window.h"

#include "algebra/dimensions.h"
#include "weights.h"

namespace upwell {

using namespace Halide;

namespace {

// The register block of the inner loop and the rows of a task.
struct Blocking {
    int lanes, rows, channels, groups;  // groups: row blocks of a task
};

// 16 accumulators hide the latency of a multiply-add and leave room for operands in 32 registers.
constexpr int accumulators = 16;

int largest_divisor(int value, int limit) {
    int divisor = std::min(value, limit);
    while (value % divisor != 0) {
        divisor--;
    }
    return divisor;
}

Blocking choose(const Problem &p, const WindowKnobs &knobs, const Target &target, int strip_rows) {
    Blocking b;
    b.lanes = target.natural_vector_size(p.type);
    b.rows = largest_divisor(p.rows->ratio(), knobs.unroll_rows > 0 ? (int)knobs.unroll_rows : 4);
    b.channels = knobs.unroll_channels > 0 ? (int)knobs.unroll_channels : std::max(1, accumulators / b.rows);
    b.groups = std::max(1, (knobs.strip_rows > 0 ? (int)knobs.strip_rows : strip_rows) / b.rows);
    return b;
}

// Low-res rows expanded to high-res columns: one broadcast a cell.
void schedule_spread(const Problem &p, Func spread, int lanes) {
    Var cell("cell"), phase("phase");
    const int ratio = p.columns->ratio();
    spread.align_bounds(x, ratio)
        .split(x, cell, phase, ratio, whole)
        .vectorize(phase, std::min(ratio, lanes))
        .never_partition_all();
    if (ratio < lanes) {
        spread.unroll(cell, lanes / ratio, guard);
    }
}

}  // namespace

// A task is a strip of pixel rows. Its weights are found once and serve every channel.
void schedule_exact_on_cpu(Reassembly &parts, const WindowKnobs &knobs, const Target &target) {
    const Problem &p = parts.problem;
    const Blocking b = choose(p, knobs, target, 16);
    Var group("group"), row("row"), strip("strip"), block("block"), channel("channel"), xo("xo"), xi("xi"), task("task");
    parts.output.split(y, group, row, b.rows, whole)
        .split(group, strip, group, b.groups, guard)
        .split(c, block, channel, b.channels, guard)
        .split(x, xo, xi, b.lanes, guard)
        .reorder(xi, row, channel, xo, group, block, strip, n)
        .vectorize(xi)
        .unroll(row)
        .unroll(channel)
        .fuse(strip, n, task)
        .parallel(task)
        .never_partition(group, block, task);
    // Fixed extents keep the accumulators in registers also where the image or the channels end early.
    parts.sum.compute_at(parts.output, xo)
        .bound_extent(x, b.lanes)
        .bound_extent(c, b.channels)
        .vectorize(x, b.lanes, whole)
        .unroll(y)
        .unroll(c);
    parts.sum.update()
        .reorder(x, y, c, parts.window.x, parts.window.y)
        .vectorize(x, b.lanes, whole)
        .unroll(y)
        .unroll(c)
        .unroll(parts.window.x);
    parts.spread.store_at(parts.output, block).compute_at(parts.output, group);
    schedule_spread(p, parts.spread, b.lanes);
    parts.weights.window.compute_at(parts.output, task);
    schedule_weights(p, parts.weights, parts.weights.window, b.lanes);
}

// A task is a strip of low-res rows.
void schedule_exact_on_cpu(ReassemblyValueAdjoint &parts, const WindowKnobs &knobs, const Target &target) {
    const Problem &p = parts.problem;
    // An accumulator is a window column of a channel.
    Blocking b = choose(p, knobs, target, 32);
    b.channels = knobs.unroll_channels > 0 ? (int)knobs.unroll_channels : std::max(1, accumulators / p.window.size);
    const int low_rows = std::max(1, b.groups * b.rows / p.rows->ratio());
    Var strip("strip"), row("row"), block("block"), channel("channel"), task("task");
    parts.output.split(y, strip, row, low_rows, guard)
        .split(c, block, channel, b.channels, guard)
        .reorder(x, channel, row, block, strip, n)
        .vectorize(x, b.lanes, guard)
        .fuse(strip, n, task)
        .parallel(task)
        .never_partition_all();

    RVar xo("xo"), xi("xi");
    parts.padded.compute_at(parts.output, row)
        .bound_extent(c, b.channels)
        .bound(jx, 0, p.window.size)
        .vectorize(x, b.lanes, whole)
        .never_partition_all();
    parts.padded.update()
        .split(parts.pixel_columns, xo, xi, b.lanes, guard)
        .reorder(xi, jx, c, xo, y, n)
        .vectorize(xi)
        .unroll(jx)
        .unroll(c)
        .never_partition(y, n);
    parts.partial.compute_at(parts.padded, xo)
        .bound_extent(x, b.lanes)
        .vectorize(x, b.lanes, whole)
        .unroll(jx)
        .unroll(c);
    parts.partial.update()
        .reorder(x, jx, c, parts.pixels.x, parts.pixels.y, y, n)
        .vectorize(x, b.lanes, whole)
        .unroll(jx)
        .unroll(c);
    // Gradient rows are copied as they are first needed: in order, and next to each other, which the channels of the
    // gradient, far apart in memory, are not.
    parts.gradient.store_at(parts.output, block)
        .compute_at(parts.output, row)
        .bound_extent(c, b.channels)
        .vectorize(x, b.lanes, whole)
        .never_partition(y, c);
    parts.gathered.compute_at(parts.output, row)
        .bound_extent(c, b.channels)
        .vectorize(x, b.lanes, whole)
        .never_partition_all();
    parts.sum.compute_at(parts.output, x).vectorize(x, b.lanes, whole);
    parts.sum.update().vectorize(x, b.lanes, whole).unroll(parts.columns);
    parts.folded.window.compute_at(parts.output, task);
    schedule_folded_weights(p, parts.weights, parts.folded, b.lanes);
}

// A task is a strip of pixel rows. An accumulator is a window column of a pixel row, summed over a block of channels.
void schedule_exact_on_cpu(ReassemblyWeightAdjoint &parts, const WindowKnobs &knobs, const Target &target) {
    const Problem &p = parts.problem;
    Blocking b = choose(p, knobs, target, 16);
    const int size = p.window.size;
    Var group("group"), row("row"), strip("strip"), task("task"), xo("xo"), xi("xi"), block("block");
    RVar blocks("blocks"), channels("channels");
    parts.output.bound(tap, 0, p.op.taps.count())
        .split(y, group, row, b.rows, whole)
        .split(group, strip, group, b.groups, guard)
        .split(x, xo, xi, b.lanes, guard)
        .reorder(xi, tap, xo, row, group, strip, n)
        .vectorize(xi)
        .unroll(tap)
        .fuse(strip, n, task)
        .parallel(task)
        .never_partition_all();

    parts.d_window.compute_at(parts.output, task)
        .bound(jx, 0, size)
        .bound(jy, 0, size)
        .reorder_storage(x, jx, jy, y, n)
        .vectorize(x, b.lanes, whole)
        .never_partition_all();
    parts.d_window.update().split(parts.channel.x, blocks, channels, knobs.sum_channels, guard);
    Func block_sum = parts.d_window.update().rfactor(blocks, block);
    parts.d_window.update()
        .split(y, group, row, b.rows, whole)
        .split(x, xo, xi, b.lanes, whole)
        .reorder(xi, row, jx, xo, jy, group, blocks, n)
        .vectorize(xi)
        .unroll(row)
        .unroll(jx)
        .never_partition(group, blocks, n);
    block_sum.compute_at(parts.d_window, xo)
        .bound_extent(x, b.lanes)
        .bound_extent(y, b.rows)
        .vectorize(x, b.lanes, whole)
        .unroll(y)
        .unroll(jx);
    block_sum.update()
        .reorder(x, y, jx, channels, jy, block, n)
        .vectorize(x, b.lanes, whole)
        .unroll(y)
        .unroll(jx);
    parts.spread.compute_at(parts.d_window, blocks);
    schedule_spread(p, parts.spread, b.lanes);
    schedule_weights_adjoint(parts, xo, b.lanes);
}

}  // namespace upwell
