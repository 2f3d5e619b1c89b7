// The low-res cells that a pixel attends to along an axis: one run of them for each pixel, never going back.
#pragma once

#include <cstdint>
#include <vector>

namespace upwell {

struct CellWindow {
    std::vector<int> begin, end;  // of each pixel, the first cell and the one behind the last
};

// `kernel` cells, or all if there are fewer, from the pixel's own cell, the one that its centre lies in, less kernel /
// 2; moved inside the map at its ends (NATTEN's rule). Positive sizes.
CellWindow shifted_window(int64_t kernel, int64_t low, int64_t high);

// The cells that overlap the part of the axis within `ratio` of its length around the pixel's centre (AnyUp's rule);
// all if that is 1 or more. Positive.
CellWindow ratio_window(double ratio, int64_t low, int64_t high);

// The `kernel` cells, an odd number, around cell floor(p low/high), those outside the map left out.
CellWindow masked_window(int64_t kernel, int64_t low, int64_t high);

CellWindow whole_window(int64_t low, int64_t high);

// A run of cells for each tile of so many pixels, that holds all that its pixels see; or of pixels for each block of
// cells, with all that see them.
struct Runs {
    std::vector<int> first;  // first + count is inside wherever count is not more than there are
    int64_t count;           // the same for all
};
Runs cells_of_tiles(const CellWindow &window, int64_t tile, int64_t low);
// count is a multiple of `multiple`.
Runs pixels_of_blocks(const CellWindow &window, int64_t block, int64_t low, int64_t multiple);

}  // namespace upwell
