// Between torch's tensors and the tiles of the PCDC kernels: weights packed as they read them, and gradients taken out
// of the records that they write.
#pragma once

#include <vector>

#include <ATen/core/Tensor.h>

#include "algebra/pcdc_tile.h"

namespace upwell::bridge::pcdc {

using at::Tensor;

// A tap's offset in pixels.
struct Offset {
    int64_t y, x;
};

// How an image is cut: phases of rows (y = phase + step * row), tiles, and what taps reach.
struct Tiling {
    upwell::pcdc::Tile tile;
    int64_t N, H, W;
    int64_t step = 1;                  // phases
    int64_t reach_x = 0, reach_y = 0;  // of taps, in pixels and in rows of a phase
    int64_t rows() const { return H / step; }
    int64_t tiles_x() const;
    int64_t tiles_y() const;
    int64_t frame_columns() const;  // of a tile with what its taps reach
    int64_t frame_rows() const;

    Tensor tap_columns, tap_rows;  // int32
    Tensor row_of, phase_of;       // of each y, int32

    // Of maps like the query: N,D,H,W.
    Tiling(const Tensor &query, std::vector<Offset> taps);
    // Pixels of each tile of a sample, in the order of records: float64, on the device of `like`.
    Tensor pixels(const Tensor &like) const;
    // N,K,H,W as the kernels index it: N,K,step,rows,W without a copy.
    Tensor phased(const Tensor &map) const;
};

// The upsampled key: which cells pixels and tiles read.
struct Cells {
    Tensor columns, rows, column_fraction, row_fraction;  // of each pixel
    Tensor first_column, first_row;                       // of each tile
    int64_t frame_columns, frame_rows;                    // most that a tile reads

    // w, h: low-res, without the two cells around.
    Cells(const Tiling &tiling, int64_t h, int64_t w, const Tensor &like);
};

// The channels of a group before and after the compressor, and their common padded width.
struct Widths {
    int64_t groups, before, after, padded;
    Widths(int64_t groups, int64_t before, int64_t after);
};

// [N, C, rest...] of `groups` groups -> [N, groups, rest..., C/groups padded].
Tensor channels_last(const Tensor &weights, int64_t groups, int64_t padded);
// x with zeros behind its last dimension.
Tensor pad_last(const Tensor &x, int64_t size);

// What an adjoint's tiles wrote: [N, step, tiles y, tiles x, groups, record].
struct Record {
    Record(const Tiling &tiling, const Widths &widths, int64_t columns, int64_t channels, int64_t frame,
           const at::TensorOptions &options);

    Tensor values;
    Tensor weights() const;                     // N,groups,columns,padded, summed over tiles
    Tensor query() const;                       // N,step,ty,tx,groups,channels,tile rows,tile columns
    Tensor frame(at::IntArrayRef sizes) const;  // N,step,ty,tx,groups,sizes...

private:
    upwell::pcdc::Tile tile;
    int64_t columns, channels, padded;
};

}  // namespace upwell::bridge::pcdc
