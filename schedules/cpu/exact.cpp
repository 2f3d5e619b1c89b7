// CPU schedules of the window kernel and its transposes at an integer ratio: lanes are pixel columns.
#include "schedules/window.h"

#include "algebra/dimensions.h"
#include "schedules/cpu/weights.h"

namespace upwell {

using namespace Halide;

namespace {

// 16 accumulators hide the latency of a multiply-add and leave room for operands in 32 registers.
constexpr int accumulators = 16;

// What a block of accumulators may take: more would be kept in memory.
int most_accumulators(const Target &target) {
    return target.has_feature(Target::AVX512) ? 28 : 16;
}

int largest_divisor(int value, int limit) {
    int divisor = std::min(value, limit);
    while (value % divisor != 0) {
        divisor--;
    }
    return divisor;
}

int hand_rows(const Problem &p) {
    return largest_divisor(p.rows->ratio(), 4);
}

std::vector<int> divisors(int value, int limit) {
    std::vector<int> all;
    for (int divisor = 1; divisor <= std::min(value, limit); divisor++) {
        if (value % divisor == 0) {
            all.push_back(divisor);
        }
    }
    return all;
}

void add_rows(Space &space, const Problem &p, const WindowKnobs &knobs) {
    space.add(knobs.unroll_rows, "pixel rows of a register block: they share a loaded value", hand_rows(p),
              divisors(p.rows->ratio(), 16));
}

// rows: what the hand schedule's tasks aim at.
void add_strip(Space &space, const Problem &p, const WindowKnobs &knobs, int rows) {
    const int ratio = p.rows->ratio();
    std::vector<int> values;
    for (int cells = 1; cells <= 32; cells *= 2) {
        values.push_back(cells * ratio);
    }
    space.add(knobs.strip_rows, "pixel rows of a task", std::max(1, rows / ratio) * ratio, values);
}

void require_registers(Space &space, const Target &target, int hand, const std::string &factors,
                       std::function<int(const Space &)> taken) {
    const int most = std::max(hand, most_accumulators(target));
    space.require(factors + " is at most " + std::to_string(most) + ", as many accumulators as registers hold",
                  [=](const Space &s) { return taken(s) <= most; });
}

Space space_of(const Reassembly &parts, const WindowKnobs &knobs, const Target &target) {
    const Problem &p = parts.problem;
    const int channels = std::max(1, accumulators / hand_rows(p));
    Space space;
    add_rows(space, p, knobs);
    space.add(knobs.unroll_channels, "channels of a register block: they share a loaded weight", channels,
              {1, 2, 3, 4, 6, 8, 12, 16});
    space.add(knobs.unroll_vectors, "vectors of pixel columns of a register block", 1, {1, 2});
    add_strip(space, p, knobs, 16);
    space.add(
        knobs.loop_order,
        "1: cell rows inside of channel blocks, 2: channel blocks inside of cell rows, 3: channel blocks inside of "
        "columns",
        1, {1, 2, 3});
    space.add(knobs.map_rows, "expanded rows of the map: 1: made for each cell row, 2: kept for the next cell rows", 2,
              {1, 2});
    space.add(knobs.unroll_sum, "loops over the window: 1: columns unrolled, 2: rows as well", 1, {1, 2});
    require_registers(
        space, target, channels * hand_rows(p), "unroll_rows * unroll_channels * unroll_vectors",
        [&knobs](const Space &s) { return s[knobs.unroll_rows] * s[knobs.unroll_channels] * s[knobs.unroll_vectors]; });
    return space;
}

Space space_of(const ReassemblyValueBackward &parts, const WindowKnobs &knobs, const Target &target) {
    const Problem &p = parts.problem;
    const int size = p.window.size, channels = std::max(1, accumulators / size);
    Space space;
    space.add(knobs.unroll_channels, "channels of a register block: they share a loaded weight", channels,
              {1, 2, 3, 4, 5, 6, 8, 12, 16});
    add_strip(space, p, knobs, 32);
    space.add(knobs.map_rows, "rows of the gradient: 1: read where they lie, 2: copied, a block of channels at a time",
              2, {1, 2});
    space.add(knobs.unroll_sum, "the loop over a cell's pixel rows: 1: as it is, 2: unrolled", 1, {1, 2});
    require_registers(space, target, channels * size,
                      "unroll_channels times " + std::to_string(size) + " window columns",
                      [&knobs, size](const Space &s) { return s[knobs.unroll_channels] * size; });
    return space;
}

Space space_of(const ReassemblyWeightBackward &parts, const WindowKnobs &knobs, const Target &target) {
    const Problem &p = parts.problem;
    const int size = p.window.size;
    Space space;
    add_rows(space, p, knobs);
    add_strip(space, p, knobs, 16);
    space.add(knobs.sum_channels, "channels of a partial sum over channels", 16, {4, 8, 16, 32, 64, 128});
    space.add(knobs.loop_order, "1: columns inside of window rows, 2: window rows inside of columns", 1, {1, 2});
    space.add(knobs.unroll_sum, "the loop over a partial sum's channels: 1: as it is, 2: unrolled by two", 1, {1, 2});
    require_registers(space, target, hand_rows(p) * size,
                      "unroll_rows times " + std::to_string(size) + " window columns",
                      [&knobs, size](const Space &s) { return s[knobs.unroll_rows] * size; });
    return space;
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
    const Space space = space_of(parts, knobs, target);
    space.settle(knobs);
    const int lanes = target.natural_vector_size(p.type), columns = lanes * space[knobs.unroll_vectors],
              rows = space[knobs.unroll_rows], channels = space[knobs.unroll_channels];
    enum { RowsInside = 1, ChannelsInside, ColumnsOutside };
    const int order = space[knobs.loop_order];
    const bool keep_rows = space[knobs.map_rows] == 2;
    Var block("block"), channel("channel"), xo("xo"), xi("xi"), vector("vector");
    RVar group("group"), row_in_block("row_in_block"), strip("strip"), cell_in_strip("cell_in_strip"), task("task");
    const RVar sample = parts.pixels.z;
    Stage output = parts.output.update();
    output
        .allow_race_conditions()  // every row is written once
        .split(parts.pixels.x, group, row_in_block, rows)
        .split(parts.pixels.y, strip, cell_in_strip, space[knobs.strip_rows] / p.rows->ratio(), guard)
        .split(c, block, channel, channels, guard)
        .split(x, xo, xi, columns, guard);
    std::vector<VarOrRVar> loops{xi, row_in_block, channel};
    if (columns > lanes) {
        output.split(xi, vector, xi, lanes).unroll(vector);
        loops = {xi, vector, row_in_block, channel};
    }
    const std::vector<VarOrRVar> outer =
        order == RowsInside       ? std::vector<VarOrRVar>{xo, group, cell_in_strip, block, strip, sample}
        : order == ChannelsInside ? std::vector<VarOrRVar>{xo, group, block, cell_in_strip, strip, sample}
                                  : std::vector<VarOrRVar>{group, block, xo, cell_in_strip, strip, sample};
    loops.insert(loops.end(), outer.begin(), outer.end());
    output.reorder(loops)
        .vectorize(xi)
        .unroll(row_in_block)
        .unroll(channel)
        .fuse(strip, sample, task)
        .parallel(task)
        .never_partition(group, cell_in_strip, block, task);
    // Fixed extents keep the accumulators in registers also where the image or the channels end early.
    parts.sum.compute_at(order == ColumnsOutside ? LoopLevel(parts.output, group) : LoopLevel(parts.output, xo))
        .bound_extent(x, columns)
        .bound_extent(row, rows)
        .bound_extent(c, channels)
        .vectorize(x, lanes, whole)
        .unroll(x)
        .unroll(row)
        .unroll(c);
    parts.sum.update()
        .reorder(x, row, c, parts.window.x, parts.window.y)
        .vectorize(x, lanes, whole)
        .unroll(x)
        .unroll(row)
        .unroll(c)
        .unroll(parts.window.x);
    if (space[knobs.unroll_sum] == 2) {
        parts.sum.update().unroll(parts.window.y);
    }
    const LoopLevel cells(parts.output, cell_in_strip), blocks(parts.output, block);
    if (!keep_rows) {
        parts.spread.compute_at(order == RowsInside ? cells : blocks);
    } else {
        parts.spread.store_at(order == RowsInside ? blocks : LoopLevel(parts.output, task)).compute_at(cells);
    }
    schedule_spread(p, parts.spread, lanes);
    if (order == ColumnsOutside) {
        parts.weights.window.compute_at(parts.output, xo).bound_extent(x, columns).bound_extent(y, p.rows->ratio());
    } else {
        parts.weights.window.compute_at(order == RowsInside ? LoopLevel(parts.output, task) : cells);
    }
    schedule_weights(p, parts.weights, parts.weights.window, lanes);
}

// A task is a strip of low-res rows.
void schedule_exact_on_cpu(ReassemblyValueBackward &parts, const WindowKnobs &knobs, const Target &target) {
    const Problem &p = parts.problem;
    const Space space = space_of(parts, knobs, target);
    space.settle(knobs);
    // An accumulator is a window column of a channel.
    const int lanes = target.natural_vector_size(p.type), channels = space[knobs.unroll_channels];
    Var strip("strip"), low_row("low_row"), block("block"), channel("channel"), task("task");
    parts.output.split(y, strip, low_row, space[knobs.strip_rows] / p.rows->ratio(), guard)
        .split(c, block, channel, channels, guard)
        .reorder(x, channel, low_row, block, strip, n)
        .vectorize(x, lanes, guard)
        .fuse(strip, n, task)
        .parallel(task)
        .never_partition_all();

    RVar xo("xo"), xi("xi");
    parts.padded.compute_at(parts.output, low_row)
        .bound_extent(c, channels)
        .bound(jx, 0, p.window.size)
        .vectorize(x, lanes, whole)
        .never_partition_all();
    parts.padded.update()
        .split(parts.pixel_columns, xo, xi, lanes, guard)
        .reorder(xi, jx, c, xo, y, n)
        .vectorize(xi)
        .unroll(jx)
        .unroll(c)
        .never_partition(y, n);
    parts.partial.compute_at(parts.padded, xo).bound_extent(x, lanes).vectorize(x, lanes, whole).unroll(jx).unroll(c);
    parts.partial.update()
        .reorder(x, jx, c, parts.pixels.x, parts.pixels.y, y, n)
        .vectorize(x, lanes, whole)
        .unroll(jx)
        .unroll(c);
    if (space[knobs.unroll_sum] == 2) {
        parts.partial.update().unroll(parts.pixels.x);
    }
    // Gradient rows are copied as they are first needed: in order, and next to each other, which the channels of the
    // gradient, far apart in memory, are not.
    if (space[knobs.map_rows] == 2) {
        parts.gradient.store_at(parts.output, block)
            .compute_at(parts.output, low_row)
            .bound_extent(c, channels)
            .vectorize(x, lanes, whole)
            .never_partition(y, c);
    }
    parts.gathered.compute_at(parts.output, low_row)
        .bound_extent(c, channels)
        .vectorize(x, lanes, whole)
        .never_partition_all();
    parts.sum.compute_at(parts.output, x).vectorize(x, lanes, whole);
    parts.sum.update().vectorize(x, lanes, whole).unroll(parts.columns);
    parts.folded.window.compute_at(parts.output, task);
    schedule_folded_weights(p, parts.weights, parts.folded, lanes);
}

// A task is a strip of cell rows. An accumulator is a window column of a pixel row, summed over a block of channels.
void schedule_exact_on_cpu(ReassemblyWeightBackward &parts, const WindowKnobs &knobs, const Target &target) {
    const Problem &p = parts.problem;
    const Space space = space_of(parts, knobs, target);
    space.settle(knobs);
    const int lanes = target.natural_vector_size(p.type), rows = space[knobs.unroll_rows], size = p.window.size;
    Var xo("xo"), xi("xi"), block("block"), group("group"), row_in_block("row_in_block");
    RVar strip("strip"), cell_in_strip("cell_in_strip"), task("task"), blocks("blocks"), channels("channels");
    const RVar sample = parts.pixels.z;
    parts.output.update()
        .allow_race_conditions()  // every row is written once
        .split(parts.pixels.y, strip, cell_in_strip, space[knobs.strip_rows] / p.rows->ratio(), guard)
        .split(x, xo, xi, lanes, guard)
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
        .vectorize(x, lanes, whole)
        .never_partition_all();
    parts.d_cell.update().split(parts.channel.x, blocks, channels, space[knobs.sum_channels], guard);
    Func block_sum = parts.d_cell.update().rfactor(blocks, block);
    const bool columns_inside = space[knobs.loop_order] == 1;
    const Var inner = columns_inside ? xo : jy, outer = columns_inside ? jy : xo;
    parts.d_cell.update()
        .split(row, group, row_in_block, rows, whole)
        .split(x, xo, xi, lanes, whole)
        .reorder(xi, row_in_block, jx, inner, outer, group, cell, blocks, n)
        .vectorize(xi)
        .unroll(row_in_block)
        .unroll(jx)
        .never_partition(group, cell, blocks, n);
    block_sum.compute_at(parts.d_cell, inner)
        .bound_extent(x, lanes)
        .bound_extent(row, rows)
        .vectorize(x, lanes, whole)
        .unroll(row)
        .unroll(jx);
    block_sum.update()
        .reorder(x, row, jx, channels, jy, block, cell, n)
        .vectorize(x, lanes, whole)
        .unroll(row)
        .unroll(jx);
    if (space[knobs.unroll_sum] == 2) {
        block_sum.update().unroll(channels, 2, guard);
    }
    parts.spread.compute_at(parts.d_cell, blocks);
    schedule_spread(p, parts.spread, lanes);
    schedule_weights_backward(parts, xo, lanes);
}

}  // namespace upwell
