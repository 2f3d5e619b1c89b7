// CPU schedules of cross-scale attention: lanes are pixels side by side. A task is a row of pixels or of cells; what it
// compares lies in its cache, a tile of pixels or a block of cells at a time.
#include "schedules/cross_attention.h"

namespace upwell::cross_attention {

using namespace Halide;

namespace {

struct Registers {
    int all, lanes;  // vectors that sums may take; elements of one
    int wide;        // so many channels or cells that a tile's sums are kept in registers of

    Registers(const Target &target, Type type)
        : all(target.has_feature(Target::AVX512_Skylake) ? 24 : 12),
          lanes(std::min(target.natural_vector_size(type), cross_attention::lanes)),
          wide(std::clamp(all * lanes / tile, 1, 8)) {}
};

Func &of_one_tile(Func &f, LoopLevel at) {
    return of_one(f, std::move(at), {{u, tile}, {t, 1}, {y, 1}, {g, 1}, {n, 1}});
}

Func &of_one_block(Func &f, LoopLevel at) {
    return of_one(f, std::move(at), {{lane, lanes}, {b, block}, {t, 1}, {g, 1}, {n, 1}});
}

Func &of_one_row(Func &f, LoopLevel at) {
    return of_one_block(f, std::move(at)).bound_extent(y, 1);
}

// Sums that stay in registers: of pixels side by side, times what there is of k.
void keep(Func sums, const Var &pixel, const Var &k, const std::vector<VarOrRVar> &over, const Registers &r) {
    std::vector<VarOrRVar> order{pixel, k};
    order.insert(order.end(), over.begin(), over.end());
    sums.vectorize(pixel, r.lanes).unroll(pixel).unroll(k);
    sums.update().reorder(order).vectorize(pixel, r.lanes).unroll(pixel).unroll(k);
}

// Products of a pixel and a cell, of all that `stored` has: a tile of pixels and so many cells at a time in registers.
void keep_products(Func sums, Func stored, const Var &pixel, const Var &cell, int cells, const RDom &over,
                   const Registers &r) {
    const Var tiles("tiles"), part("part");
    stored.split(pixel, tiles, pixel, tile, TailStrategy::RoundUp)
        .split(cell, part, cell, cells, TailStrategy::RoundUp)
        .reorder(pixel, cell, part, tiles)
        .vectorize(pixel, r.lanes)
        .unroll(pixel)
        .unroll(cell);
    of_this_one(sums, LoopLevel(stored, part), {{pixel, tile}, {cell, cells}});
    keep(sums, pixel, cell, {over.x}, r);
}

// Those of a tile.
void store(Func sums, const RDom &over, LoopLevel at, const Registers &r) {
    Func stored = sums.in();
    keep_products(sums, of_one_tile(stored, at), u, i, r.wide, over, r);
}

// A sum over a window's cells, or the largest of them, for the pixels of a tile.
void reduce(Func f, const RDom &cells, LoopLevel at, const Registers &r) {
    of_one_tile(f, at).vectorize(u, r.lanes);
    f.update().reorder({u, cells.x, cells.y}).vectorize(u, r.lanes).unroll(u);
}

void schedule_weights(Weights &w, LoopLevel at, const Registers &r) {
    store(w.dots, w.depth, at, r);
    reduce(w.largest, w.cells, at, r);
    of_one_tile(w.exponentials, at).vectorize(u, r.lanes);
    reduce(w.total, w.cells, at, r);
}

// Tiles of a row in turn; of a tile blocks of channels, if it has any. Returns the loops over tiles and over blocks.
struct Loops {
    Var tiles{"tiles"}, channels{"channels"};
};

Loops schedule_rows(Func output, bool has_channels, const Registers &r) {
    constexpr auto guard = TailStrategy::GuardWithIf;
    Loops loops;
    Var pixel("pixel"), channel("channel");
    output.split(x, loops.tiles, pixel, tile, guard);
    if (has_channels) {
        output.split(c, loops.channels, channel, r.wide, guard)
            .reorder(pixel, channel, loops.channels, loops.tiles, y, g, n);
    } else {
        output.reorder(pixel, loops.tiles, y, g, n);
    }
    output.vectorize(pixel, r.lanes).parallel(y).parallel(g).parallel(n);
    return loops;
}

}  // namespace

void schedule_on_cpu(Forward &f, const Target &target) {
    const Registers r(target, f.output.types()[0]);
    const Loops loops = schedule_rows(f.output, true, r);
    of_one_tile(f.sums, LoopLevel(f.output, loops.channels)).bound_extent(c, r.wide);
    keep(f.sums, u, c, {f.cells.x, f.cells.y}, r);
    if (!f.mean.defined()) {
        schedule_weights(f.weights, LoopLevel(f.output, loops.tiles), r);
        return;
    }
    of_one_tile(f.mean, LoopLevel(f.output, loops.tiles)).vectorize(u, r.lanes);
    f.mean.update().reorder({u, i, j, f.heads.x}).vectorize(u, r.lanes).unroll(u);
    schedule_weights(f.weights, LoopLevel(f.mean, f.heads.x), r);
}

void schedule_on_cpu(Statistics &s, const Target &target) {
    const Registers r(target, s.output.types()[0]);
    const Loops loops = schedule_rows(s.output, false, r);
    const LoopLevel at(s.output, loops.tiles);
    schedule_weights(s.weights, at, r);
    store(s.gradients.d_weights, s.gradients.channels, at, r);
    reduce(s.inner, s.cells, at, r);
}

void schedule_on_cpu(OfPixels &o, const Target &target) {
    const Registers r(target, o.output.types()[0]);
    const Loops loops = schedule_rows(o.output, true, r);
    const LoopLevel at(o.output, loops.tiles);
    store(o.weights.dots, o.weights.depth, at, r);
    store(o.gradients.d_weights, o.gradients.channels, at, r);
    of_one_tile(o.factors, at).vectorize(u, r.lanes);
    of_one_tile(o.sums, LoopLevel(o.output, loops.channels)).bound_extent(c, r.wide);
    keep(o.sums, u, c, {o.cells.x, o.cells.y}, r);
}

// A task is a block of cells' columns. Their pixels are visited row by row: what these give is summed in lanes, and
// these at last.
void schedule_on_cpu(OfCells &o, const Target &target) {
    const Registers r(target, o.output.types()[0]);
    const int wide = std::max(1, r.all * r.lanes / lanes / block);
    Var blocks("blocks"), cell("cell"), channels("channels"), channel("channel");
    o.output.split(x, blocks, cell, block, TailStrategy::GuardWithIf)
        .reorder(cell, c, y, blocks, g, n)
        .parallel(blocks)
        .parallel(g)
        .parallel(n);
    const LoopLevel of_block(o.output, blocks), of_row(o.partial, o.rows.y);
    of_one_block(o.total, of_block).update().reorder(o.side_by_side.x, x, c, y).atomic().vectorize(o.side_by_side.x);
    of_one_block(o.partial, of_block).vectorize(lane, r.lanes);
    o.partial.update()
        .split(c, channels, channel, wide, TailStrategy::GuardWithIf)
        .reorder(lane, b, channel, o.rows.x, channels, o.rows.y)
        .vectorize(lane, r.lanes)
        .unroll(lane)
        .unroll(b);
    of_one_row(o.row_sums, LoopLevel(o.partial, o.rows.x)).bound_extent(k, 1).bound_extent(c, wide);
    o.row_sums.vectorize(lane, r.lanes).unroll(lane).unroll(b).unroll(c);
    o.row_sums.update().reorder(lane, b, c, o.pixels.x).vectorize(lane, r.lanes).unroll(lane).unroll(b).unroll(c);
    LoopLevel at = of_row;
    of_one_row(o.factors, of_row).vectorize(v, r.lanes);
    if (o.factors.has_update_definition()) {
        o.factors.update().reorder(v, b, k, o.heads.x).vectorize(v, r.lanes);
        at = LoopLevel(o.factors, o.heads.x);
    }
    const auto products = [&](Func sums, const RDom &over) {
        Func stored = sums.in();
        keep_products(sums, of_one_row(stored, at), v, b, block, over, r);
    };
    products(o.dots, o.depth);
    if (o.d_weights.defined()) {
        products(o.d_weights, o.channels);
    }
}

}  // namespace upwell::cross_attention
