// CPU schedules of the PCDC family. A task is a tile. Lanes are channels; pixels are unrolled beside them, so that a
// loaded weight serves several pixels and a loaded value several channels.
#include "schedules/pcdc.h"

namespace upwell::pcdc {

using namespace Halide;

namespace {

constexpr auto whole = TailStrategy::RoundUp, guard = TailStrategy::GuardWithIf;

// A register block: vectors of channels x pixels.
struct Block {
    int lanes, vectors, pixels;
    int channels() const { return lanes * vectors; }
};

int registers_of(const Target &target) {
    return target.has_feature(Target::AVX512_Skylake) ? 32 : 16;
}

// What the schedules of a target take: blocks and tiles, once its space is settled.
class Choice {
public:
    Choice(const PcdcKnobs &knobs, const Target &target, Type type)
        : knobs(knobs), lanes(target.natural_vector_size(type)), registers(registers_of(target)) {}
    Choice(const Choice &) = delete;  // rules refer to it

    const PcdcKnobs &knobs;
    const int lanes, registers;

    // Weights have their channels in multiples of 32.
    void add_block(const BlockKnobs &block, const std::string &sum) { add(block, sum, 2, 32, registers / 4); }
    // And in multiples of 16, where they lead to scores or maps.
    void add_narrow_block(const BlockKnobs &block, const std::string &sum) { add(block, sum, 1, 16, registers / 2); }

    // A sum over the pixels of a tile; columns of sums take the place of pixels.
    void add_sum_block(const std::string &sum, int columns) { add(knobs.weights, sum, 2, 32, columns); }

    // A task's, of an image. Blocks of pixels divide its columns.
    void add_tile(const std::vector<const BlockKnobs *> &blocks) {
        space.add(knobs.tile_columns, "columns of a task", cpu_tile.columns, {32, 48, 64, 96, 128});
        space.add(knobs.tile_rows, "rows of a task", cpu_tile.rows, {8, 16, 32});
        require_whole_blocks(blocks, [this](const Space &s) { return s[knobs.tile_columns]; });
    }

    // The tile that the output is made of.
    void keep_tile(const std::vector<const BlockKnobs *> &blocks) {
        require_whole_blocks(blocks, [](const Space &) { return cpu_tile.columns; });
    }

    Tile tile() const { return {space[knobs.tile_columns], space[knobs.tile_rows]}; }

    Block operator[](const BlockKnobs &block) const {
        return {lanes, space[block.channels] / lanes, space[block.pixels]};
    }

    void settle() const { space.settle(knobs); }

private:
    // vectors, pixels: by hand half of the registers are accumulators, which hides the latency of a multiply-add.
    void add(const BlockKnobs &block, const std::string &sum, int vectors, int most_channels, int pixels) {
        std::vector<int> channels;
        for (int c = lanes; c <= most_channels; c *= 2) {
            channels.push_back(c);
        }
        space.add(block.channels, "channels of a register block of " + sum, vectors * lanes, channels);
        space.add(block.pixels, "pixels of a register block of " + sum, pixels, {2, 4, 8, 12, 16, 24});
        const auto accumulators = [this, &block](const Space &s) {
            return s[block.channels] / lanes * s[block.pixels];
        };
        space.require("the registers hold a block of " + sum + " and its operands", [=, this, &block](const Space &s) {
            return accumulators(s) + s[block.channels] / lanes + 1 <= registers;
        });
        space.require("a block of " + sum + " takes a quarter of the registers",
                      [=, this](const Space &s) { return 4 * accumulators(s) >= registers; });
    }

    void require_whole_blocks(const std::vector<const BlockKnobs *> &blocks,
                              const std::function<int(const Space &)> &columns) {
        space.require("blocks of pixels divide a tile's columns", [=](const Space &s) {
            return std::all_of(blocks.begin(), blocks.end(),
                               [&](const BlockKnobs *block) { return columns(s) % s[block->pixels] == 0; });
        });
    }

    Space space;
};

// Places the loops of f, which stores what the accumulators sum: blocks of `lane` and `pixel` run over the rest.
// Returns the loop over blocks of pixels.
Var schedule_blocks(Func f, Var lane, Var pixel, const Block &b) {
    Var lane_block("lane_block"), lane_inner("lane_inner"), vector("vector"), pixel_block("pixel_block"),
        pixel_inner("pixel_inner");
    f.split(lane, lane_block, lane_inner, b.channels(), whole)
        .split(lane_inner, vector, lane_inner, b.lanes, whole)
        .split(pixel, pixel_block, pixel_inner, b.pixels, whole)
        .reorder(lane_inner, vector, pixel_inner, pixel_block, row, lane_block)
        .vectorize(lane_inner)
        .unroll(vector)
        .unroll(pixel_inner)
        .never_partition_all();
    return pixel_block;
}

// Accumulators of one block, in registers, for every update's loops in this order.
void schedule_sum(Func f, Var lane, Var pixel, const Block &b, const std::vector<std::vector<RVar>> &loops) {
    Var vector("vector"), inner("inner");
    f.bound_extent(lane, b.channels())
        .bound_extent(pixel, b.pixels)
        .split(lane, vector, inner, b.lanes, whole)
        .reorder(inner, vector, pixel)
        .vectorize(inner)
        .unroll(vector)
        .unroll(pixel);
    for (size_t stage = 0; stage < loops.size(); stage++) {
        std::vector<VarOrRVar> order{inner, vector, pixel};
        order.insert(order.end(), loops[stage].begin(), loops[stage].end());
        f.update(int(stage))
            .split(lane, vector, inner, b.lanes, whole)
            .reorder(order)
            .vectorize(inner)
            .unroll(vector)
            .unroll(pixel);
    }
}

// The loops over tiles, whose innermost one is `task`.
const Var task("task");
void parallel_tiles(Func f) {
    f.fuse(tile_x, tile_y, task).fuse(task, phase, task).fuse(task, n, task).parallel(task).never_partition_all();
}

// Cuts an image (x, row, phase, channels, n) into tiles, each a task. Returns the loop over its rows.
Var schedule_image(Func f, const std::vector<Var> &channels, const Tile &tile, int lanes) {
    Var x_in("x_in"), row_in("row_in");
    std::vector<VarOrRVar> order{x_in};
    order.insert(order.end(), channels.begin(), channels.end());
    for (const Var &v : {row_in, tile_x, tile_y, phase, n}) {
        order.push_back(v);
    }
    f.split(x, tile_x, x_in, tile.columns, guard).split(row, tile_y, row_in, tile.rows, guard).reorder(order);
    f.vectorize(x_in, lanes, guard);
    parallel_tiles(f);
    return row_in;
}

void schedule_staged(Staged &s, LoopLevel level, int lanes) {
    for (Func f : {s.vertical, s.padded}) {
        if (f.defined()) {
            f.compute_at(level).vectorize(x, lanes, whole);
        }
    }
}

// v, in registers while its consumer's block is made.
void schedule_difference(Difference d, Func consumer, Var level, const Block &b) {
    d.v.compute_at(consumer, level);
    std::vector<std::vector<RVar>> loops{{d.channel}};
    if (d.taps) {
        loops.insert(loops.begin(), {d.tap.x, d.tap.y});
    }
    schedule_sum(d.v, o, x, b, loops);
}

void schedule_inputs(Difference d, LoopLevel level, int lanes) {
    if (d.taps) {
        schedule_staged(d.taps->key, level, lanes);
    }
    schedule_staged(d.query, level, lanes);
}

// u.
void schedule_input(const Difference &d, const Hidden &hidden, LoopLevel level, const Block &b) {
    Func u = hidden.u;
    u.compute_at(level);
    schedule_difference(d, u, schedule_blocks(u, o, x, b), b);
}

// u, and s in registers while h, which consumes it, is made.
void schedule_hidden(const Difference &d, const Hidden &hidden, Func h, LoopLevel level, const Choice &choice) {
    Func s = hidden.s;
    schedule_input(d, hidden, level, choice[choice.knobs.difference]);
    const Block b = choice[choice.knobs.hidden];
    h.compute_at(level);
    s.compute_at(h, schedule_blocks(h, o, x, b));
    schedule_sum(s, o, x, b, {{hidden.sum}});
}

void add_hidden_blocks(Choice &choice) {
    choice.add_block(choice.knobs.difference, "differences");
    choice.add_block(choice.knobs.hidden, "hidden channels");
}

}  // namespace

// v as an image.
void schedule_on_cpu(const Difference &d, Func stored, Func output, const PcdcKnobs &knobs, const Target &target) {
    Choice choice(knobs, target, d.v.types()[0]);
    choice.add_block(knobs.difference, "differences");
    choice.add_tile({&knobs.difference});
    choice.settle();
    const Block b = choice[knobs.difference];
    schedule_image(output, {o, g}, choice.tile(), b.lanes);
    schedule_inputs(d, {output, task}, b.lanes);
    stored.compute_at(output, g);
    schedule_difference(d, stored, schedule_blocks(stored, o, x, b), b);
}

namespace {

// Returns the loop over tasks.
LoopLevel schedule_scores(Scores &s, const Choice &choice) {
    const Block one = choice[choice.knobs.scores];
    const Var row_in = schedule_image(s.output, {c}, choice.tile(), one.lanes);
    Var lane_block("lane_block"), pixel_block("pixel_block"), lane_inner("lane_inner"), pixel_inner("pixel_inner");
    s.sum.compute_at(s.output, row_in).vectorize(c, one.lanes, whole);
    s.sum.update()
        .split(c, lane_block, lane_inner, one.channels(), whole)
        .split(x, pixel_block, pixel_inner, one.pixels, whole)
        .reorder(lane_inner, pixel_inner, pixel_block, lane_block, s.groups)
        .vectorize(lane_inner, one.lanes)
        .unroll(pixel_inner)
        .never_partition_all();
    s.part.compute_at(s.sum, pixel_block);
    schedule_sum(s.part, c, x, one, {{s.channels}});
    return {s.output, task};
}

}  // namespace

void schedule_on_cpu(const Difference &d, const Hidden &hidden, Scores &s, const PcdcKnobs &knobs,
                     const Target &target) {
    Choice choice(knobs, target, d.v.types()[0]);
    add_hidden_blocks(choice);
    choice.add_narrow_block(knobs.scores, "scores");
    choice.add_tile({&knobs.difference, &knobs.hidden, &knobs.scores});
    choice.settle();
    schedule_inputs(d, schedule_scores(s, choice), choice.lanes);
    schedule_hidden(d, hidden, s.h, {s.sum, s.groups}, choice);
}

void schedule_on_cpu(Scores &s, const PcdcKnobs &knobs, const Target &target) {
    Choice choice(knobs, target, s.h.types()[0]);
    choice.add_narrow_block(knobs.scores, "scores");
    choice.add_tile({&knobs.scores});
    choice.settle();
    schedule_scores(s, choice);
    s.h.compute_at(s.sum, s.groups).vectorize(o, choice.lanes, whole);
}

namespace {

void schedule_statistics(Statistics &s, int lanes) {
    s.output.reorder(o, t, g, tile_x, tile_y, phase, n).bound(t, 0, 2).unroll(t).vectorize(o, lanes, guard);
    parallel_tiles(s.output);
    for (Func f : {s.mean, s.scatter}) {
        f.compute_at(s.output, g).vectorize(o, lanes, whole);
        Var block("block"), inner("inner"), line_sum("line_sum"), lines_block("lines_block"), line("line");
        // Row by row: a sum of so many squares, all positive, would lose digits in one go. Some rows side by side,
        // since a sum waits for the one before it.
        Func lines = f.update().rfactor(s.pixels.y, line_sum);
        lines.compute_at(s.output, g).vectorize(o, lanes, whole);
        lines.update()
            .split(o, block, inner, lanes, whole)
            .split(line_sum, lines_block, line, 4, whole)
            .reorder(inner, line, s.pixels.x, lines_block, block)
            .vectorize(inner)
            .unroll(line);
        f.update().vectorize(o, lanes, whole);
    }
}

}  // namespace

void schedule_on_cpu(const Difference &d, const Hidden &hidden, Statistics &s, const PcdcKnobs &knobs,
                     const Target &target) {
    Choice choice(knobs, target, d.v.types()[0]);
    add_hidden_blocks(choice);
    choice.keep_tile({&knobs.difference, &knobs.hidden});
    choice.settle();
    schedule_inputs(d, {s.output, g}, choice.lanes);
    schedule_hidden(d, hidden, s.h, {s.output, g}, choice);
    schedule_statistics(s, choice.lanes);
}

void schedule_on_cpu(Statistics &s, const PcdcKnobs &knobs, const Target &target) {
    Choice choice(knobs, target, s.h.types()[0]);
    choice.settle();
    schedule_statistics(s, choice.lanes);
}

void schedule_on_cpu(const Difference &d, const Hidden &hidden, Func kept, const PcdcKnobs &knobs,
                     const Target &target) {
    Choice choice(knobs, target, d.v.types()[0]);
    add_hidden_blocks(choice);
    choice.add_tile({&knobs.difference, &knobs.hidden});
    choice.settle();
    const Block b = choice[knobs.hidden];
    const Tile tile = choice.tile();
    Var row_in("row_in"), lane_block("lane_block"), lane("lane"), vector("vector"), pixel_block("pixel_block"),
        pixel("pixel");
    // Blocks of pixels first: those beyond the image are no tasks of a tile.
    kept.split(x, pixel_block, pixel, b.pixels, guard)
        .split(pixel_block, tile_x, pixel_block, tile.columns / b.pixels, guard)
        .split(row, tile_y, row_in, tile.rows, guard)
        .split(o, lane_block, lane, b.channels(), whole)
        .split(lane, vector, lane, b.lanes, whole)
        .reorder({lane, vector, pixel, pixel_block, lane_block, row_in, g, tile_x, tile_y, phase, n})
        .vectorize(lane)
        .unroll(vector)
        .unroll(pixel);
    parallel_tiles(kept);
    Func s = hidden.s;
    s.compute_at(kept, pixel_block);
    schedule_sum(s, o, x, b, {{hidden.sum}});
    schedule_inputs(d, {kept, g}, b.lanes);
    schedule_input(d, hidden, {kept, row_in}, choice[knobs.difference]);
}

namespace {

void schedule_moments(Moments &m, const Choice &choice) {
    const int lanes = choice.lanes;
    const Block b = choice[choice.knobs.weights];
    Var lane_block("lane_block"), lane("lane"), vector("vector"), block("block"), inner("inner");
    m.output.split(o, lane_block, lane, b.channels(), guard)
        .split(lane, vector, lane, lanes, guard)
        .split(c, block, inner, b.pixels, guard)
        .reorder(lane, vector, inner, block, lane_block, g, tile_x, tile_y, phase, n)
        .vectorize(lane);
    parallel_tiles(m.output);
    m.sum.compute_at(m.output, block);
    schedule_sum(m.sum, o, c, b, {{m.pixels.x, m.pixels.y}});
    m.d_scores.compute_at(m.output, task)
        .reorder_storage(x, row, c, phase, n)
        .reorder(x, row, c)
        .vectorize(x, lanes, whole);
}

void add_moment_blocks(Choice &choice) {
    // As many as taps have scores, or a part.
    choice.add_sum_block("moments", choice.registers == 32 ? 9 : 5);
}

}  // namespace

void schedule_on_cpu(const Difference &d, const Hidden &hidden, Moments &m, const PcdcKnobs &knobs,
                     const Target &target) {
    Choice choice(knobs, target, d.v.types()[0]);
    add_hidden_blocks(choice);
    add_moment_blocks(choice);
    choice.keep_tile({&knobs.difference, &knobs.hidden});
    choice.settle();
    schedule_moments(m, choice);
    schedule_inputs(d, {m.output, g}, choice.lanes);
    schedule_hidden(d, hidden, m.h, {m.output, g}, choice);
}

void schedule_on_cpu(Moments &m, const PcdcKnobs &knobs, const Target &target) {
    Choice choice(knobs, target, m.h.types()[0]);
    add_moment_blocks(choice);
    choice.keep_tile({});
    choice.settle();
    schedule_moments(m, choice);
}

void schedule_on_cpu(const Difference &d, const Hidden *hidden, HiddenBackward *adjoint, Func d_v,
                     DifferenceBackward &a, const PcdcKnobs &knobs, const Target &target) {
    Choice choice(knobs, target, d_v.types()[0]);
    std::vector<const BlockKnobs *> blocks{&knobs.spread};
    if (adjoint) {
        add_hidden_blocks(choice);
        choice.add_block(knobs.back, "gradients of differences");
        blocks.insert(blocks.end(), {&knobs.difference, &knobs.hidden, &knobs.back});
    }
    choice.add_narrow_block(knobs.spread, "gradients of maps");
    choice.add_sum_block("gradients of weights", choice.registers / 4);
    choice.keep_tile(blocks);
    choice.settle();
    const int lanes = choice.lanes;
    a.output.reorder(t, g, tile_x, tile_y, phase, n).vectorize(t, lanes, guard);
    parallel_tiles(a.output);
    const LoopLevel in_tile{a.output, task}, group{a.output, g};
    schedule_inputs(d, group, lanes);
    a.record.compute_at(group).vectorize(t, lanes, whole);
    for (size_t k = 0; k < a.copies.size(); k++) {
        a.record.update(int(k)).allow_race_conditions().vectorize(a.copies[k].x, 8, guard).never_partition_all();
    }
    if (adjoint) {
        adjoint->staged.compute_at(in_tile)
            .reorder_storage(x, row, c, phase, n)
            .reorder(x, row, c)
            .vectorize(x, lanes, whole);
        Func s = hidden->s;
        schedule_input(d, *hidden, group, choice[knobs.difference]);
        const Block b = choice[knobs.hidden], back = choice[knobs.back];
        adjoint->d_s.compute_at(group);
        const Var block = schedule_blocks(adjoint->d_s, o, x, b);
        if (!hidden->is_kept()) {
            s.compute_at(adjoint->d_s, block);
            schedule_sum(s, o, x, b, {{hidden->sum}});
        }
        adjoint->d_h.compute_at(adjoint->d_s, block);
        schedule_sum(adjoint->d_h, o, x, b, {{adjoint->score}});
        d_v.compute_at(group);
        adjoint->d_u.compute_at(d_v, schedule_blocks(d_v, o, x, back));
        schedule_sum(adjoint->d_u, o, x, back, {{adjoint->sum}});
    } else {
        d_v.compute_at(group).vectorize(x, lanes, whole);
    }
    const Block spread = choice[knobs.spread], b = choice[knobs.weights];
    a.spread.compute_at(group);
    a.spread_sum.compute_at(a.spread, schedule_blocks(a.spread, t, x, spread));
    schedule_sum(a.spread_sum, t, x, spread, {{a.back}});

    a.weights.compute_at(group).vectorize(o, lanes, whole);
    for (size_t k = 0; k < a.sums.size(); k++) {
        auto &[sum, columns, pixels] = a.sums[k];
        RVar block("block"), inner("inner");
        Var lane_block("lane_block"), lane("lane");
        a.weights.update(int(k))
            .split(o, lane_block, lane, b.channels(), whole)
            .split(columns.x, block, inner, b.pixels, guard)
            .reorder({lane, inner, block, columns.y, lane_block, columns.z})  // a row stays in the first-level cache
            .vectorize(lane, b.lanes)
            .never_partition_all();
        sum.compute_at(a.weights, block);
        schedule_sum(sum, o, i, b, {{pixels}});
    }

    a.frame.compute_at(group).vectorize(a.frame.args()[0], 8, whole);
    const Var channel = a.frame.args()[0];
    if (d.taps) {
        a.frame.update().reorder({channel, a.corners.x, a.corners.z, a.corners.y}).vectorize(channel, 8, whole);
    } else {
        a.frame.update()
            .reorder({channel, a.corners.x, a.corners.y, a.corners.z, a.corners.w})
            .vectorize(channel, lanes, whole)
            .unroll(a.corners.x)
            .unroll(a.corners.y);
    }
}

// Lanes are columns. A task is a phase of a group's channels, then a group's image.
void schedule_on_cpu(CollectedMap &m, const Target &target) {
    BorderFold &fold = m.fold;
    const int lanes = target.natural_vector_size(fold.output.types()[0]);
    m.padded.compute_root().fuse(phase, n, task).fuse(g, task, task).parallel(task).vectorize(x, lanes, whole);
    m.padded.update()
        .allow_race_conditions()  // the columns of a frame are different places
        .reorder({m.tiles.x, m.tiles.y, m.tiles.z, m.tiles.w, i, g, phase, n})
        .fuse(phase, n, task)
        .fuse(g, task, task)
        .parallel(task)
        .vectorize(m.tiles.x, lanes, guard);
    for (Func f : {fold.left, fold.right}) {
        f.compute_root();
    }
    for (Func f : {fold.top, fold.bottom}) {
        f.compute_root().vectorize(x, lanes, whole).update().vectorize(x, lanes, whole);
    }
    Var strip("strip"), line("line");
    fold.output.split(y, strip, line, cpu_tile.rows, guard)
        .vectorize(x, lanes, guard)
        .fuse(i, g, task)
        .fuse(task, n, task)
        .fuse(strip, task, task)
        .parallel(task);
    fold.folded.compute_at(fold.output, line).store_at(fold.output, task).vectorize(x, lanes, whole);
    fold.along.compute_at(fold.output, line).store_at(fold.output, task).vectorize(x, lanes, whole);
}

void schedule_on_cpu(CollectedTiles &tiles, const Target &target) {
    Var strip("strip"), line("line"), x_in("x_in");
    tiles.output.split(y, strip, line, cpu_tile.rows, guard)
        .split(x, tile_x, x_in, cpu_tile.columns, guard)
        .reorder(x_in, tile_x, line, strip, i, g, n)
        .vectorize(x_in, target.natural_vector_size(tiles.output.types()[0]), guard)
        .fuse(i, g, task)
        .fuse(task, n, task)
        .parallel(task);
}

void schedule_on_cpu(CollectedCells &c, const Target &target) {
    const int lanes = target.natural_vector_size(c.output.types()[0]);
    c.output.fuse(g, n, task).parallel(task).vectorize(o, lanes, guard);
    c.output.update().fuse(g, n, task).parallel(task).vectorize(o, lanes, guard);
}

}  // namespace upwell::pcdc
