// What the GPU schedules of the PCDC family share. A lane is a column of pixels: neighbouring threads are neighbouring
// columns, and weights are the same for all of a warp.
#pragma once

#include "schedules/pcdc.h"

namespace upwell::pcdc::gpu {

constexpr auto whole = Halide::TailStrategy::RoundUp, guard = Halide::TailStrategy::GuardWithIf;

// What a thread holds in registers: so many channels of so many pixels, one below the other.
struct Block {
    int channels, pixels;
};

inline bool is_double(const Halide::Func &f) {
    return f.types()[0].bits() == 64;
}

// Registers of a thread that sums of f's type take, and bytes of shared memory.
inline int registers(const Halide::Func &f, int values) {
    return values * f.types()[0].bytes() / 4;
}
constexpr int most_registers = 192, most_shared = 48 << 10;

using Loops = std::vector<Halide::VarOrRVar>;

// Makes f in registers: its pure loops over `lane` and `line`, then every update's, with these loops around them.
void in_registers(Halide::Func f, const Halide::Var &lane, const Block &b, const std::vector<Loops> &updates = {},
                  const Halide::Var &line = row);

// Blocks over tiles (columns, rows) of phases and samples, and over `third`. They are fused by twos: of loops fused
// from more, Halide cannot bound what is made in them. The innermost is the first dimension of a launch, the long one;
// the second has no more blocks than an image has rows. Returns the
// loop over the first, inside which is what a block's threads share.
template<class Stage>
Halide::Var launch_blocks(Stage f, const Halide::Var &columns, const Halide::Var &rows, const Halide::Var &third) {
    const Halide::Var bx("block_x"), by("block_y");
    f.fuse(columns, n, bx).fuse(rows, phase, by).reorder(bx, by, third).gpu_blocks(bx, by, third);
    return bx;
}

// A launch of its own that stores f (lane, x, row, g, phase, n) with a thread for a block of its channels and pixels,
// in tiles that a block of threads has. Returns the loop over threads, where what f reads is made.
constexpr int threads_x = 32, threads_y = 4;
Halide::Var store_image(Halide::Func f, const Halide::Var &lane, const Block &b, const Tile &tile);
inline Tile tile_of(const Block &b) {
    return {threads_x, threads_y * b.pixels};
}

// The maps as tiles read them: the key a launch of its own, the query read where it lies.
void stage_inputs(const Difference &d);

// v in registers, where its consumer is made.
void make_difference(Difference d, const Halide::LoopLevel &level, const Block &b);

// u and s in registers, block by block, where h is made. inputs: the blocks of u, as registers allow.
void make_hidden(const Difference &d, const Hidden &hidden, const Halide::LoopLevel &level, const Block &b,
                 const Block &inputs);

}  // namespace upwell::pcdc::gpu
