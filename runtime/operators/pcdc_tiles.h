// How the kernels of paired central difference convolution cut an image, and which cells of an upsampled key they read.
#pragma once

#include "grid/pcdc_record.h"
#include "host.h"

namespace upwell::pcdc {

// Of a tap, in pixels.
struct Offset {
    int64_t y, x;
};

// Phases of rows (y = phase + step * row), tiles, and what taps reach.
struct Tiling {
    Tile tile;
    int64_t N, H, W;
    int64_t step = 1;                  // phases
    int64_t reach_x = 0, reach_y = 0;  // of taps, in pixels and in rows of a phase

    int64_t rows() const { return H / step; }
    int64_t tiles_x() const;
    int64_t tiles_y() const;                                              // of a phase
    int64_t frame_columns() const { return tile.columns + 2 * reach_x; }  // of a tile with what its taps reach
    int64_t frame_rows() const { return tile.rows + 2 * reach_y; }

    Tensor tap_columns, tap_rows;  // int32
    Tensor row_of, phase_of;       // of each y, int32

    Tiling(Host &host, int64_t N, int64_t H, int64_t W, std::vector<Offset> taps);

    // Pixels of each tile of a sample: rows of tiles of all phases x tiles.
    Tensor pixels(Host &host) const;
    // A contiguous map ...,H,W as kernels index it: ...,step,rows,W.
    Tensor phased(const Tensor &map) const;
    // For every tile N,step,tiles y,tiles x and then these.
    std::vector<int64_t> of_tiles(std::initializer_list<int64_t> rest) const;
};

// The sum over a sample's tiles of values N,step,tiles y,tiles x,A,B,C -> N,A,B,C. Row by row of tiles first.
void sum_tiles(Host &host, const Tensor &values, const Tensor &sums);

// The cells that pixels and tiles read of an upsampled key, one cell beyond its border.
struct Cells {
    Tensor columns, rows, column_fraction, row_fraction;  // of each pixel
    Tensor first_column, first_row;                       // of each tile
    int64_t frame_columns, frame_rows;                    // most that a tile reads

    // h, w: low-res.
    Cells(Host &host, const Tiling &tiling, int64_t h, int64_t w);
};

}  // namespace upwell::pcdc
