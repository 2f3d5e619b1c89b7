#include "grid/bordered_axis.h"

#include <algorithm>

namespace upwell {
namespace {

int64_t remainder(int64_t value, int64_t divisor) {
    return (value % divisor + divisor) % divisor;
}

int64_t cell_at(Beyond beyond, int64_t position, int64_t cells) {
    if (beyond == Beyond::Replicate || cells == 1) {
        return std::clamp<int64_t>(position, 0, cells - 1);
    }
    const int64_t period = 2 * (cells - 1), place = remainder(position, period);
    return std::min(place, period - place);
}

}  // namespace

std::vector<int> bordered_cells(Beyond beyond, int64_t cells, int64_t ratio, int64_t reach) {
    std::vector<int> list;
    for (int64_t position = -reach; position < cells * ratio + reach; position++) {
        const int64_t cell = (position - remainder(position, ratio)) / ratio;
        list.push_back(static_cast<int>(cell_at(beyond, cell, cells)));
    }
    return list;
}

Positions positions_of(const std::vector<int> &bordered, int64_t cells) {
    std::vector<int64_t> met(cells, 0);
    for (const int cell : bordered) {
        met[cell]++;
    }
    Positions positions{*std::max_element(met.begin(), met.end()), {}};
    positions.of_cells.assign(positions.count * cells, -1);
    std::fill(met.begin(), met.end(), 0);
    for (size_t position = 0; position < bordered.size(); position++) {
        const int cell = bordered[position];
        positions.of_cells[met[cell]++ * cells + cell] = static_cast<int>(position);
    }
    return positions;
}

}  // namespace upwell
