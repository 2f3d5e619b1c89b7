// GPU schedules (CUDA, OpenCL) of d_value, in tiles.
#include "schedules/window.h"

#include "algebra/dimensions.h"
#include "schedules/gpu/weights.h"

namespace upwell {

using namespace Halide;

namespace {

// 48 KB of shared memory, the least that every device has.
constexpr int shared_words = 48 * 1024 / 4;

// A thread may take 255 registers, of which a block has 65536.
constexpr int most_threads = 256;

// Cells that give to a tile.
int givers(int cells, const AxisWindow &window) {
    return cells + window.size - 1;
}

// Threads of a pixel column, or of a cell at any size.
int columns(const Problem &p) {
    return std::max(1, p.columns->ratio());
}

// Where there is room, two threads have a column, each for half of the tile's channels: they share its weights.
int channel_threads(const Problem &p, int cells) {
    return p.op.has_weights() && 2 * givers(cells, p.window) * columns(p) <= most_threads ? 2 : 1;
}

int choose_cells(const Problem &p) {
    const int size = p.window.size, ratio = p.columns->ratio();
    // With an odd multiple of this many givers, neighbouring threads store to different banks.
    const int step = std::max(1, 32 / columns(p));
    int givers = step;
    const auto too_few = [&] { return givers * ratio < 96 || givers < 3 * (size - 1); };
    const auto room = [&] { return givers < size || (givers + 2 * step) * ratio <= most_threads; };
    while (ratio > 0 && too_few() && room()) {
        givers += 2 * step;
    }
    return givers - size + 1;
}

}  // namespace

Tile choose_tile(const Problem &p) {
    const int cells = choose_cells(p), threads = channel_threads(p, cells);
    const auto channels = [&](int rows) {  // of a thread
        const int sums = p.window.size * rows, stored = sums * givers(cells, p.window) * columns(p) * threads;
        return std::min({8, 64 / sums, shared_words / stored}) / words(p);
    };
    const bool few_registers = givers(cells, p.window) * columns(p) > most_threads;  // a kernel as wide as the ratio
    const int rows = p.exact() && channels(2) > 1 && !few_registers ? 2 : 1;
    return {cells, rows, std::max(1, channels(rows)) * threads};
}

namespace {

Space tile_space(const Problem &p, const WindowKnobs &knobs) {
    const Tile hand = choose_tile(p);
    const int threads = channel_threads(p, hand.cells), size = p.window.size;
    std::vector<int> cells;
    for (const int wide : {4, 8, 16, 24, 32, 40, 48, 64, 96, 128}) {
        if (wide >= size) {
            cells.push_back(wide - size + 1);
        }
    }
    Space space;
    space.add(knobs.tile_cells, "low-res cells of a tile", hand.cells, cells);
    space.add(knobs.tile_rows, "low-res rows of a tile", hand.rows, {1, 2, 4});
    space.add(knobs.tile_channels, "channels of a tile", hand.channels, {1, 2, 4, 8, 16, 32});
    space.add(knobs.threads_z, "threads that share a tile's channels", threads, {1, 2, 4});
    space.add(knobs.threads_x, "of the weights: threads of a block along columns", 32, {32, 64});
    space.add(knobs.threads_y, "of the weights: threads of a block along rows", 4, {2, 4});

    const int pixels = columns(p), unit = words(p);
    const auto block = [=](int cells, int channel_threads) { return (cells + size - 1) * pixels * channel_threads; };
    const auto sums = [=](int rows, int channels, int threads) { return size * rows * channels / threads * unit; };
    const auto shared = [=](int cells, int rows, int channels) {
        return size * rows * channels * (cells + size - 1) * pixels * unit;
    };
    const int most_sums = std::max(64, sums(hand.rows, hand.channels, threads)),
              most_shared = std::max(shared_words, shared(hand.cells, hand.rows, hand.channels));
    space.require("threads_z divides tile_channels",
                  [&knobs](const Space &s) { return s[knobs.tile_channels] % s[knobs.threads_z] == 0; });
    require_threads(space, block(hand.cells, threads),
                    "(tile_cells + " + std::to_string(size - 1) + ") * " + std::to_string(pixels) + " * threads_z",
                    [=, &knobs](const Space &s) { return block(s[knobs.tile_cells], s[knobs.threads_z]); });
    space.require("a thread's sums, " + std::to_string(size * unit) +
                      " * tile_rows * tile_channels / threads_z, are at most " + std::to_string(most_sums),
                  [=, &knobs](const Space &s) {
                      return sums(s[knobs.tile_rows], s[knobs.tile_channels], s[knobs.threads_z]) <= most_sums;
                  });
    space.require("a tile's sums, " + std::to_string(size * pixels * unit) + " * (tile_cells + " +
                      std::to_string(size - 1) + ") * tile_rows * tile_channels, fit " + std::to_string(most_shared) +
                      " words of shared memory",
                  [=, &knobs](const Space &s) {
                      return shared(s[knobs.tile_cells], s[knobs.tile_rows], s[knobs.tile_channels]) <= most_shared;
                  });
    return space;
}

}  // namespace

Tile choose_tile(const Problem &p, const WindowKnobs &knobs) {
    const Space space = tile_space(p, knobs);
    space.settle(knobs);
    return {space[knobs.tile_cells], space[knobs.tile_rows], space[knobs.tile_channels]};
}

namespace {

// A block has a tile. First a thread has a pixel column (any size: a cell's columns) and some channels: it sums what it
// gives to the window columns of the tile's rows. Then a thread has a cell, and sums over its window's columns.
void schedule_tiles(ReassemblyValueBackward &parts, const WindowKnobs &knobs) {
    const Problem &p = parts.problem;
    const RDom &tiles = parts.tiles;
    const Space space = tile_space(p, knobs);
    space.settle(knobs);
    const int threads = space[knobs.threads_z];
    RVar tx("tx"), ty("ty"), tz("tz"), turn("turn"), item("item"), block("block"), no("no"), ni("ni");
    parts.output.update()
        .allow_race_conditions()  // every cell is written once
        .split(tiles[6], no, ni, samples_of_launch(p), guard)
        .reorder(tiles[0], tiles[1], tiles[2], tiles[3], tiles[4], tiles[5], ni, no)
        .fuse(tiles[0], tiles[1], item)
        .fuse(item, tiles[2], item)
        .split(item, item, tx, columns(p), guard)
        .split(item, item, ty, givers(p.tile->cells, p.window), guard)
        .split(item, turn, tz, threads, guard)
        .fuse(tiles[3], tiles[4], block)
        .gpu_threads(tx, ty, tz)
        .gpu_blocks(block, tiles[5], ni)
        .never_partition_all();
    parts.sum.compute_at(parts.output, tx).update().unroll(parts.columns.x).unroll(parts.columns.y);
    Var co("co"), ci("ci");
    parts.by_cell.compute_at(parts.output, block)
        .split(c, co, ci, p.tile->channels / threads)
        .reorder(y, jx, ci, column, x, co)
        .unroll(y)
        .unroll(jx)
        .unroll(ci)
        .gpu_threads(column, x, co)
        .never_partition_all();
    parts.partial.compute_at(parts.by_cell, column).unroll(y).unroll(jx).unroll(c);
    schedule_folded_weights_launch(p, parts.weights, parts.folded, space[knobs.threads_x], space[knobs.threads_y]);
}

}  // namespace

void schedule_exact_on_gpu(ReassemblyValueBackward &parts, const WindowKnobs &knobs) {
    schedule_tiles(parts, knobs);
    const RDom &r = parts.pixels;  // row in cell, jy
    parts.partial.update().reorder(jx, c, y, r.y, r.x).unroll(jx).unroll(c).unroll(y).unroll(r.y).never_partition_all();
}

void schedule_any_size_on_gpu(ReassemblyValueBackward &parts, const WindowKnobs &knobs) {
    schedule_tiles(parts, knobs);
    const RDom &r = parts.pixels;  // column in cell, row in cell, jy
    parts.partial.update().reorder(jx, c, y, r.x, r.y, r.z).unroll(jx).unroll(c).unroll(y).never_partition_all();
}

}  // namespace upwell
