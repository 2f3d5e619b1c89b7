// GPU schedules (CUDA, OpenCL) of cross-scale attention. What pixels and cells have of each other is stored for some
// rows at a time, enough to fill a GPU and little enough to stay mostly in its L2: a stage is a launch. Products keep
// their sums in registers, a thread four pixels side by side times four cells or eight channels; threads of a warp have
// the same cells, so that their loads of keys and values are the same few.
#include "schedules/cross_attention.h"

namespace upwell::cross_attention {

using namespace Halide;

namespace {

constexpr auto guard = TailStrategy::GuardWithIf, whole = TailStrategy::RoundUp;
constexpr auto inwards = TailStrategy::ShiftInwards;    // threads that wait for each other are under no condition
constexpr auto stores = TailStrategy::PredicateStores;  // a tile is whole, whatever of it lies in the map
constexpr int scratch = 1 << 23;  // numbers of pixels and cells that a stage stores, or those of one row
constexpr int most_rows = 256;    // at a time; a launch has no more than 65535 blocks along y
constexpr int thread_pixels = 4, thread_cells = block, thread_channels = 8;
constexpr int lines_of_block = 16;                             // rows that threads of a block have
constexpr int channels_of_value = 64, channels_of_depth = 32;  // that a block sums: those of a head are fewer

const Var strip("strip"), quad("quad"), thread_x("thread_x"), thread_y("thread_y"), tiles("tiles"), pixel("pixel"),
    block_x("block_x"), block_y("block_y"), block_c("block_c"), lines("lines"), several("several");

// Of so many; sizes: what a stage stores of one.
Expr at_a_time(const Expr &count, const std::vector<Expr> &sizes) {
    Expr fit = scratch;
    for (const Expr &size : sizes) {
        fit = fit / max(size, 1);
    }
    return clamp(fit, 1, count);
}

Expr rows_at_a_time(const Expr &count, const std::vector<Expr> &sizes) {
    return at_a_time(min(count, most_rows), sizes);
}

Expr rows_at_a_time(const Problem &p) {
    return rows_at_a_time(p.H, {p.W + tile, p.columns + thread_cells, p.rows, p.heads});
}

// Launches of blocks, the first of which may be many.
void launch(Func f, const std::vector<VarOrRVar> &inner, const std::vector<Var> &threads,
            const std::vector<Var> &blocks, const std::vector<VarOrRVar> &outer = {}) {
    std::vector<VarOrRVar> order = inner;
    for (const std::vector<Var> *more : {&threads, &blocks}) {
        order.insert(order.end(), more->begin(), more->end());
    }
    order.insert(order.end(), outer.begin(), outer.end());
    f.reorder(order).never_partition_all();
    f.gpu_threads(threads[0], threads[1]);
    if (blocks.size() == 3) {
        f.gpu_blocks(blocks[0], blocks[1], blocks[2]);
    } else {
        f.gpu_blocks(blocks[0], blocks[1]);
    }
}

// Products of a thread in registers: those of two dimensions, summed over a third.
void keep(Func sums, LoopLevel at, const std::pair<Var, int> &a, const std::pair<Var, int> &b,
          const std::vector<VarOrRVar> &over) {
    of_this_one(sums, std::move(at), {a, b}).unroll(a.first).unroll(b.first).never_partition_all();
    std::vector<VarOrRVar> order{a.first, b.first};
    order.insert(order.end(), over.begin(), over.end());
    sums.update().reorder(order).unroll(a.first).unroll(b.first).never_partition_all();
}

// Of pixels and cells of tiles (u, t, y, i, j, g), a launch. A thread has some of both; returns its loop.
Var store_pairs(Func f, LoopLevel at) {
    f.compute_at(std::move(at))
        .bound_extent(u, tile)
        .split(u, quad, u, thread_pixels, whole)
        .split(i, several, i, thread_cells, whole)
        .split(y, lines, thread_y, lines_of_block, guard)
        .fuse(t, j, block_x)
        .fuse(lines, several, block_y)
        .unroll(u)
        .unroll(i);
    launch(f, {u, i}, {quad, thread_y}, {block_x, block_y, g});
    return quad;
}

void keep_pairs(Func sums, LoopLevel at, const RDom &over) {
    keep(sums, std::move(at), {u, thread_pixels}, {i, thread_cells}, {over.x});
}

void store_pairs(Func sums, const RDom &over, LoopLevel at) {
    Func stored = sums.in();
    const Var thread = store_pairs(stored, std::move(at));
    keep_pairs(sums, LoopLevel(stored, thread), over);
}

// A launch of a thread for each pixel of tiles, and each of its cells if it has any; returns the thread's loop.
Var store_pixels(Func f, LoopLevel at) {
    const std::vector<Var> dimensions = f.args();
    const auto has = [&](const Var &each) {
        return std::any_of(dimensions.begin(), dimensions.end(), [&](const Var &d) { return d.same_as(each); });
    };
    constexpr int rows = 4;
    f.compute_at(std::move(at)).bound_extent(u, tile).split(y, lines, thread_y, rows, guard);
    if (has(i)) {
        f.fuse(t, i, block_x).fuse(lines, j, block_y);
    } else {
        f.rename(t, block_x).rename(lines, block_y);
    }
    std::vector<Var> blocks{block_x, block_y};
    if (has(g)) {
        blocks.push_back(g);
    }
    launch(f, {}, {u, thread_y}, blocks);
    return u;
}

// A sum, or the largest, by the thread that stores it.
void store_reduced(Func f, LoopLevel at) {
    Func stored = f.in();
    f.compute_at(stored, store_pixels(stored, std::move(at))).update().never_partition_all();
}

// Rows of the output some at a time, and sums over cells for the channels of a block; what it stores passes through
// shared memory, so that stores of neighbouring pixels are one. Returns where what rows have is made.
LoopLevel sum_cells(Func output, Func sums, const RDom &cells, const Problem &p, int channels) {
    constexpr int lanes_of_tile = tile / thread_pixels, groups = tile / lanes_of_tile;
    const int turns = channels / thread_channels / groups;
    output.split(y, strip, y, rows_at_a_time(p), inwards)
        .split(x, tiles, pixel, tile, stores)
        .split(c, block_c, c, channels, guard)
        .split(c, c, thread_y, turns, guard)
        .fuse(tiles, y, block_x);
    launch(output, {c}, {pixel, thread_y}, {block_x, block_c, g}, {strip, n});

    Func stored = sums.in();
    of_one(stored, LoopLevel(output, block_x), {{u, tile}, {c, channels}, {t, 1}, {y, 1}, {g, 1}, {n, 1}})
        .split(u, quad, u, thread_pixels, whole)
        .split(c, several, c, thread_channels, whole)
        .split(several, thread_y, several, groups, whole)
        .fuse(quad, several, thread_x)
        .reorder(u, c, thread_x, thread_y)
        .unroll(u)
        .unroll(c)
        .gpu_threads(thread_x, thread_y)
        .never_partition_all();
    keep(sums, LoopLevel(stored, thread_x), {u, thread_pixels}, {c, thread_channels}, {cells.x, cells.y});
    return LoopLevel(output, strip);
}

}  // namespace

void schedule_on_gpu(Forward &f) {
    const LoopLevel at = sum_cells(f.output, f.sums, f.cells, f.problem, channels_of_value);
    store_pairs(f.weights.dots, f.weights.depth, at);
    store_reduced(f.weights.largest, at);
    store_reduced(f.weights.total, at);
    if (f.mean.defined()) {
        store_reduced(f.mean, at);
    } else {
        store_pixels(f.weights.exponentials, at);
    }
}

void schedule_on_gpu(Statistics &s) {
    constexpr int rows = 4;
    s.output.split(y, strip, y, rows_at_a_time(s.problem), inwards)
        .split(y, lines, thread_y, rows, guard)
        .split(x, tiles, pixel, tile, stores);
    launch(s.output, {}, {pixel, thread_y}, {tiles, lines, g}, {strip, n});
    const LoopLevel at(s.output, strip);
    store_pairs(s.weights.dots, s.weights.depth, at);
    store_pairs(s.gradients.d_weights, s.gradients.channels, at);
    for (Func sum : {s.weights.largest, s.weights.total, s.inner}) {
        sum.compute_at(s.output, pixel).update().never_partition_all();
    }
}

void schedule_on_gpu(OfPixels &o) {
    const LoopLevel at = sum_cells(o.output, o.sums, o.cells, o.problem, channels_of_depth);
    const LoopLevel in_thread(o.factors, store_pairs(o.factors, at));
    keep_pairs(o.weights.dots, in_thread, o.weights.depth);
    if (o.problem.mean) {  // the same for all heads
        store_pairs(o.gradients.d_weights, o.gradients.channels, at);
    } else {
        keep_pairs(o.gradients.d_weights, in_thread, o.gradients.channels);
    }
}

namespace {

// Of cells and pixels of blocks (v, b, t, k, y, g), a launch. A thread has some of both; returns its loop.
Var store_seen(Func f, LoopLevel at) {
    f.compute_at(std::move(at))
        .bound_extent(b, block)
        .split(v, quad, v, thread_pixels, whole)
        .split(quad, several, quad, tile / thread_pixels, whole)
        .split(k, lines, thread_y, lines_of_block, guard)
        .fuse(several, t, block_x)
        .fuse(lines, y, block_y)
        .unroll(v)
        .unroll(b);
    launch(f, {v, b}, {quad, thread_y}, {block_x, block_y, g});
    return quad;
}

void keep_seen(Func sums, LoopLevel at, const RDom &over) {
    keep(sums, std::move(at), {v, thread_pixels}, {b, block}, {over.x});
}

}  // namespace

// A block has a block of cells and some channels. Lanes sum pixels side by side in registers; what they have is brought
// together in shared memory, and a thread has some sums of all lanes.
void schedule_on_gpu(OfCells &o) {
    const int channels = o.d_weights.defined() ? channels_of_depth : channels_of_value;
    constexpr int threads_c = 16;
    const Problem &p = o.problem;
    const std::vector<Expr> of_block{block, o.seeing.pixels, o.seeing.lines, p.heads};
    const Expr blocks = (p.w + block - 1) / block, columns = at_a_time(blocks, of_block);
    std::vector<Expr> of_row = of_block;
    of_row.push_back(blocks);
    const Expr rows = rows_at_a_time(p.h, of_row);
    Var cell("cell"), columns_of_row("columns_of_row");
    o.output.split(y, strip, y, rows, inwards)
        .split(x, tiles, cell, block, stores)
        .split(tiles, columns_of_row, tiles, columns, inwards)
        .split(c, block_c, c, channels, guard)
        .split(c, thread_y, c, threads_c, guard)
        .fuse(tiles, y, block_x);
    launch(o.output, {cell}, {c, thread_y}, {block_x, block_c, g}, {columns_of_row, strip, n});
    o.total.compute_at(o.output, cell).update().never_partition_all();

    Func shared = o.partial.in();
    of_one(shared, LoopLevel(o.output, block_x),
           {{lane, lanes}, {b, block}, {c, channels}, {t, 1}, {y, 1}, {g, 1}, {n, 1}})
        .align_storage(lane, lanes + 1)  // neither lanes nor sums meet in one bank
        .split(c, several, c, thread_channels, whole)
        .reorder(b, c, lane, several)
        .unroll(b)
        .unroll(c)
        .gpu_threads(lane, several)
        .never_partition_all();
    keep(o.partial, LoopLevel(shared, lane), {b, block}, {c, thread_channels}, {o.pixels.x, o.pixels.y});

    const LoopLevel at(o.output, columns_of_row);
    Func stored = o.factors.in();
    LoopLevel in_thread(stored, store_seen(stored, at));
    if (o.factors.has_update_definition()) {
        keep_seen(o.factors, in_thread, o.heads);
        in_thread = LoopLevel(o.factors, o.heads.x);
    }
    keep_seen(o.dots, in_thread, o.depth);
    if (o.d_weights.defined() && p.mean) {  // the same for all heads
        Func of_heads = o.d_weights.in();
        keep_seen(o.d_weights, LoopLevel(of_heads, store_seen(of_heads, at)), o.channels);
    } else if (o.d_weights.defined()) {
        keep_seen(o.d_weights, in_thread, o.channels);
    }
}

}  // namespace upwell::cross_attention
