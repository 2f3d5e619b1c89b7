// What the kernels of paired central difference convolution and those who shape their buffers have to agree on: tiles,
// padding, and the record that an adjoint writes for each tile.
#pragma once

#include <algorithm>
#include <cstdint>

namespace upwell::pcdc {

// In pixels.
struct Tile {
    int columns, rows;
};

// A CPU's tile has its channels in the second-level cache; a GPU's has them in shared memory.
constexpr Tile cpu_tile{64, 16}, gpu_tile{32, 8};

// Channels of a group, before and after the compressor, lie side by side, as many as whole blocks have; so do scores,
// and the columns of the transposed weights.
constexpr int64_t whole_blocks(int64_t count, int64_t block) {
    return (count + block - 1) / block * block;
}
constexpr int64_t padded_channels(int64_t before, int64_t after) {
    return whole_blocks(std::max(before, after), 32);
}
constexpr int64_t padded_scores(int64_t scores) {
    return whole_blocks(scores, 16);
}
constexpr int64_t padded_back_columns(int64_t columns) {
    return whole_blocks(columns, 16);
}

// A tile's record, innermost first: weights (width x columns), d_query (tile columns x tile rows x channels), and the
// frame, of the key (frame columns x frame rows x channels), or of what was upsampled (width x frame columns x frame
// rows). Int: int64_t, or an expression of Halide's.
template<class Int> struct Record {
    Tile tile;
    Int width, columns, channels, frame_columns, frame_rows;
    bool of_key;

    Int query() const { return width * columns; }
    Int frame() const { return query() + tile.columns * tile.rows * channels; }
    Int size() const { return frame() + frame_columns * frame_rows * (of_key ? channels : width); }
};

// Columns of the weights' gradients: channels x taps of the key, then of the query, the bias, and where there is a
// compressor its `before` inputs and its bias.
template<class Int> struct RecordColumns {
    Int channels, taps;

    Int query() const { return channels * taps; }
    Int bias() const { return query() + channels; }
    Int compressor() const { return bias() + 1; }
};

}  // namespace upwell::pcdc
