// CPU schedules of the window kernel and its transposes at an integer ratio: lanes are pixel columns.
#include "../window.h"

#include "algebra/dimensions.h"
#include "weights.h"

namespace upwell {

using namespace Halide;

namespace {

// The register block of the inner loop and the rows of a task.
struct Blocking {
    int lanes, rows, channels, cells;  // cells: low-res rows of a task
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
    b.cells = std::max(1, (knobs.strip_rows > 0 ? (int)knobs.strip_rows : strip_rows) / p.rows->ratio());
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

// A task is a strip of cell rows. Its weights are found once and serve every channel. All pixel rows of a cell read the
// same low-res rows, so one loaded value serves a block of them.
void schedule_exact_on_cpu(Reassembly &parts, const WindowKnobs &knobs, const Target &target) {
    const Problem &p = parts.problem;
    const Blocking b = choose(p, knobs, target, 16);
    Var block("block"), channel("channel"), xo("xo"), xi("xi");
    RVar group("group"), row_in_block("row_in_block"), strip("strip"), cell_in_strip("cell_in_strip"), task("task");
    const RVar sample = parts.pixels.z;
    parts.output.update()
        .allow_race_conditions()  // every row is written once
        .split(parts.pixels.x, group, row_in_block, b.rows)
        .split(parts.pixels.y, strip, cell_in_strip, b.cells, guard)
        .split(c, block, channel, b.channels, guard)
        .split(x, xo, xi, b.lanes, guard)
        .reorder(xi, row_in_block, channel, xo, group, cell_in_strip, block, strip, sample)
        .vectorize(xi)
        .unroll(row_in_block)
        .unroll(channel)
        .fuse(strip, sample, task)
        .parallel(task)
        .never_partition(group, cell_in_strip, block, task);
    // Fixed extents keep the accumulators in registers also where the image or the channels end early.
    parts.sum.compute_at(parts.output, xo)
        .bound_extent(x, b.lanes)
        .bound_extent(row, b.rows)
        .bound_extent(c, b.channels)
        .vectorize(x, b.lanes, whole)
        .unroll(row)
        .unroll(c);
    parts.sum.update()
        .reorder(x, row, c, parts.window.x, parts.window.y)
        .vectorize(x, b.lanes, whole)
        .unroll(row)
        .unroll(c)
        .unroll(parts.window.x);
    parts.spread.store_at(parts.output, block).compute_at(parts.output, cell_in_strip);
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
    Var strip("strip"), low_row("low_row"), block("block"), channel("channel"), task("task");
    parts.output.split(y, strip, low_row, b.cells, guard)
        .split(c, block, channel, b.channels, guard)
        .reorder(x, channel, low_row, block, strip, n)
        .vectorize(x, b.lanes, guard)
        .fuse(strip, n, task)
        .parallel(task)
        .never_partition_all();

    RVar xo("xo"), xi("xi");
    parts.padded.compute_at(parts.output, low_row)
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
        .compute_at(parts.output, low_row)
        .bound_extent(c, b.channels)
        .vectorize(x, b.lanes, whole)
        .never_partition(y, c);
    parts.gathered.compute_at(parts.output, low_row)
        .bound_extent(c, b.channels)
        .vectorize(x, b.lanes, whole)
        .never_partition_all();
    parts.sum.compute_at(parts.output, x).vectorize(x, b.lanes, whole);
    parts.sum.update().vectorize(x, b.lanes, whole).unroll(parts.columns);
    parts.folded.window.compute_at(parts.output, task);
    schedule_folded_weights(p, parts.weights, parts.folded, b.lanes);
}

// A task is a strip of cell rows. An accumulator is a window column of a pixel row, summed over a block of channels.
void schedule_exact_on_cpu(ReassemblyWeightAdjoint &parts, const WindowKnobs &knobs, const Target &target) {
    const Problem &p = parts.problem;
    const Blocking b = choose(p, knobs, target, 16);
    const int size = p.window.size;
    Var xo("xo"), xi("xi"), block("block"), group("group"), row_in_block("row_in_block");
    RVar strip("strip"), cell_in_strip("cell_in_strip"), task("task"), blocks("blocks"), channels("channels");
    const RVar sample = parts.pixels.z;
    parts.output.update()
        .allow_race_conditions()  // every row is written once
        .split(parts.pixels.y, strip, cell_in_strip, b.cells, guard)
        .split(x, xo, xi, b.lanes, guard)
        .reorder(xi, tap, xo, parts.pixels.x, cell_in_strip, strip, sample)
        .vectorize(xi)
        .unroll(tap)
        .fuse(strip, sample, task)
        .parallel(task)
        .never_partition_all();
    parts.output.bound(tap, 0, p.op.taps.count());

    parts.d_cell.compute_at(parts.output, task)
        .bound(row, 0, p.rows->ratio())
        .bound(jx, 0, size)
        .bound(jy, 0, size)
        .reorder_storage(x, jx, jy, row, cell, n)
        .vectorize(x, b.lanes, whole)
        .never_partition_all();
    parts.d_cell.update().split(parts.channel.x, blocks, channels, knobs.sum_channels, guard);
    Func block_sum = parts.d_cell.update().rfactor(blocks, block);
    parts.d_cell.update()
        .split(row, group, row_in_block, b.rows, whole)
        .split(x, xo, xi, b.lanes, whole)
        .reorder(xi, row_in_block, jx, xo, jy, group, cell, blocks, n)
        .vectorize(xi)
        .unroll(row_in_block)
        .unroll(jx)
        .never_partition(group, cell, blocks, n);
    block_sum.compute_at(parts.d_cell, xo)
        .bound_extent(x, b.lanes)
        .bound_extent(row, b.rows)
        .vectorize(x, b.lanes, whole)
        .unroll(row)
        .unroll(jx);
    block_sum.update()
        .reorder(x, row, jx, channels, jy, block, cell, n)
        .vectorize(x, b.lanes, whole)
        .unroll(row)
        .unroll(jx);
    parts.spread.compute_at(parts.d_cell, blocks);
    schedule_spread(p, parts.spread, b.lanes);
    schedule_weights_adjoint(parts, xo, b.lanes);
}

}  // namespace upwell
