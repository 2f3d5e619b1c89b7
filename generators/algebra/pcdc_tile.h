// Pixels of a tile of the PCDC kernels: what the kernels and those who shape their buffers have to agree on.
#pragma once

namespace upwell::pcdc {

constexpr int tile_columns = 64, tile_rows = 16;

}  // namespace upwell::pcdc
