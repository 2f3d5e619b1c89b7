// Launches whose threads are the pixels of a map: neighbouring threads are neighbouring columns, so that loads and
// stores coalesce.
#pragma once

#include <vector>

#include "Halide.h"

namespace upwell::pixels {

inline const Halide::Var tile("tile"), block_x("block_x"), block_y("block_y"), thread_x("thread_x"),
    thread_y("thread_y");

constexpr int block_columns = 32, block_rows = 4;

// columns, rows: of a pixel. inner: what each thread has a loop over. All that is left is one dimension of blocks:
// others have at most 65535.
inline void launch(Halide::Func f, const Halide::Var &columns, const Halide::Var &rows,
                   const std::vector<Halide::Var> &inner, const std::vector<Halide::Var> &others) {
    f.tile(columns, rows, block_x, block_y, thread_x, thread_y, block_columns, block_rows,
           Halide::TailStrategy::GuardWithIf);
    std::vector<Halide::VarOrRVar> order(inner.begin(), inner.end());
    order.insert(order.end(), {thread_x, thread_y, block_x, block_y});
    order.insert(order.end(), others.begin(), others.end());
    f.reorder(order).fuse(block_x, block_y, tile);
    for (const Halide::Var &each : others) {
        f.fuse(tile, each, tile);
    }
    f.gpu_blocks(tile).gpu_threads(thread_x, thread_y).never_partition_all();
}

}  // namespace upwell::pixels
