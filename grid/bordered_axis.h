// An axis of cells that goes on beyond its ends: which cell stands at each position, and the other way round.
#pragma once

#include <cstdint>
#include <vector>

namespace upwell {

// Replicate: a | a b c | c c. Reflect: c b | a b c | b a, and on in mirrors however short the axis is.
enum class Beyond { Replicate, Reflect };

// The cells at positions -reach to size - 1 + reach of an axis whose cells take `ratio` positions each.
std::vector<int> bordered_cells(Beyond beyond, int64_t cells, int64_t ratio, int64_t reach);

// The positions of each cell in such a list, in their order: `count` x cells, -1 where a cell has fewer.
struct Positions {
    int64_t count;
    std::vector<int> of_cells;
};
Positions positions_of(const std::vector<int> &bordered, int64_t cells);

}  // namespace upwell
