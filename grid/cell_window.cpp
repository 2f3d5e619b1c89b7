#include "grid/cell_window.h"

#include <algorithm>
#include <cmath>

namespace upwell {
namespace {

template<class Begin, class End> CellWindow window_of(int64_t high, const Begin &begin, const End &end) {
    CellWindow window;
    for (int64_t p = 0; p < high; p++) {
        window.begin.push_back(static_cast<int>(begin(p)));
        window.end.push_back(static_cast<int>(end(p)));
    }
    return window;
}

// Moved back to where it fits.
void move_inside(Runs &runs, int64_t size) {
    for (int &first : runs.first) {
        first = static_cast<int>(std::max<int64_t>(0, std::min<int64_t>(first, size - runs.count)));
    }
}

}  // namespace

CellWindow shifted_window(int64_t kernel, int64_t low, int64_t high) {
    const int64_t cells = std::min(kernel, low);
    const auto begin = [=](int64_t p) {
        return std::clamp<int64_t>((2 * p + 1) * low / (2 * high) - kernel / 2, 0, low - cells);
    };
    return window_of(high, begin, [=](int64_t p) { return begin(p) + cells; });
}

CellWindow ratio_window(double ratio, int64_t low, int64_t high) {
    const auto bound = [=](int64_t p, double way) {
        const double centre = (static_cast<double>(p) + 0.5) / static_cast<double>(high);
        return static_cast<double>(low) * std::clamp(centre + way, 0.0, 1.0);
    };
    return window_of(
        high, [=](int64_t p) { return std::floor(bound(p, -ratio)); },
        [=](int64_t p) { return std::max(std::floor(bound(p, -ratio)) + 1, std::ceil(bound(p, ratio))); });
}

CellWindow masked_window(int64_t kernel, int64_t low, int64_t high) {
    const int64_t reach = kernel / 2;
    return window_of(
        high, [=](int64_t p) { return std::max<int64_t>(0, p * low / high - reach); },
        [=](int64_t p) { return std::min(low, p * low / high + reach + 1); });
}

CellWindow whole_window(int64_t low, int64_t high) {
    return window_of(
        high, [](int64_t) { return 0; }, [=](int64_t) { return low; });
}

Runs cells_of_tiles(const CellWindow &window, int64_t tile, int64_t low) {
    const int64_t high = static_cast<int64_t>(window.begin.size());
    Runs runs{{}, 0};
    for (int64_t p = 0; p < high; p += tile) {
        const int64_t last = std::min(high, p + tile) - 1;
        runs.first.push_back(window.begin[p]);
        runs.count = std::max<int64_t>(runs.count, window.end[last] - window.begin[p]);
    }
    move_inside(runs, low);
    return runs;
}

Runs pixels_of_blocks(const CellWindow &window, int64_t block, int64_t low, int64_t multiple) {
    Runs runs{{}, 0};
    for (int64_t cell = 0; cell < low; cell += block) {
        const int64_t last = std::min(low, cell + block) - 1;
        // The first window that ends behind the first cell, and the last that begins at the last one or before it.
        const auto first = std::upper_bound(window.end.begin(), window.end.end(), cell) - window.end.begin();
        const auto end = std::upper_bound(window.begin.begin(), window.begin.end(), last) - window.begin.begin();
        runs.first.push_back(static_cast<int>(first));
        runs.count = std::max<int64_t>(runs.count, end - first);
    }
    runs.count = (runs.count + multiple - 1) / multiple * multiple;
    move_inside(runs, static_cast<int64_t>(window.begin.size()));
    return runs;
}

}  // namespace upwell
