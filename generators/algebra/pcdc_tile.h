// Pixels of a tile of the PCDC kernels: what the kernels and those who shape their buffers have to agree on.
#pragma once

namespace upwell::pcdc {

struct Tile {
    int columns, rows;
};

// A CPU's tile has its channels in the second-level cache; a GPU's has them in shared memory.
constexpr Tile cpu_tile{64, 16}, gpu_tile{32, 8};

}  // namespace upwell::pcdc
