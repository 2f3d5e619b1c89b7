// Windows of cells, and the runs that tiles of pixels and blocks of cells are given.
#include "grid/cell_window.h"
#include "support/catch.h"

using namespace upwell;

namespace {

struct Axis {
    int64_t low, high;
};
const std::vector<Axis> axes{{1, 1}, {1, 9}, {9, 1}, {5, 13}, {13, 5}, {16, 64}, {7, 70}, {6, 6}};

std::vector<CellWindow> windows_of(const Axis &a) {
    std::vector<CellWindow> all{whole_window(a.low, a.high)};
    for (const int64_t kernel : {1, 3, 5, 9}) {
        all.push_back(shifted_window(kernel, a.low, a.high));
        all.push_back(shifted_window(kernel + 1, a.low, a.high));
        all.push_back(masked_window(kernel, a.low, a.high));
    }
    for (const double ratio : {0.01, 0.1, 0.37, 1.0, 2.5}) {
        all.push_back(ratio_window(ratio, a.low, a.high));
    }
    return all;
}

}  // namespace

TEST_CASE("a window has cells, inside the map, and never goes back", "[cell_window]") {
    for (const Axis &a : axes) {
        for (const CellWindow &window : windows_of(a)) {
            CAPTURE(a.low, a.high);
            REQUIRE(window.begin.size() == size_t(a.high));
            for (int64_t p = 0; p < a.high; p++) {
                CHECK((0 <= window.begin[p] && window.begin[p] < window.end[p] && window.end[p] <= a.low));
                CHECK((p == 0 || (window.begin[p] >= window.begin[p - 1] && window.end[p] >= window.end[p - 1])));
            }
        }
    }
}

TEST_CASE("a shifted window keeps its size, a masked one loses what is outside", "[cell_window]") {
    const CellWindow shifted = shifted_window(3, 4, 8), masked = masked_window(3, 4, 8);
    CHECK(shifted.begin == std::vector<int>{0, 0, 0, 0, 1, 1, 1, 1});
    CHECK(shifted.end == std::vector<int>{3, 3, 3, 3, 4, 4, 4, 4});
    CHECK(masked.begin == std::vector<int>{0, 0, 0, 0, 1, 1, 2, 2});
    CHECK(masked.end == std::vector<int>{2, 2, 3, 3, 4, 4, 4, 4});
    CHECK(ratio_window(1, 4, 8).begin == whole_window(4, 8).begin);
    CHECK(ratio_window(1, 4, 8).end == whole_window(4, 8).end);
}

TEST_CASE("runs hold all that is seen, and lie inside the map wherever they fit", "[cell_window]") {
    for (const Axis &a : axes) {
        for (const CellWindow &window : windows_of(a)) {
            for (const int64_t tile : {1, 4, 32}) {
                CAPTURE(a.low, a.high, tile);
                const Runs cells = cells_of_tiles(window, tile, a.low),
                           pixels = pixels_of_blocks(window, tile, a.low, 4);
                CHECK(pixels.count % 4 == 0);
                for (int64_t p = 0; p < a.high; p++) {
                    const int first = cells.first[p / tile];
                    CHECK((0 <= first && first + cells.count <= a.low));
                    CHECK((first <= window.begin[p] && window.end[p] <= first + cells.count));
                    for (int cell = window.begin[p]; cell < window.end[p]; cell++) {
                        const int64_t begin = pixels.first[cell / tile];
                        CHECK((0 <= begin && begin <= p && p < begin + pixels.count));
                        CHECK((begin + pixels.count <= a.high || begin == 0));
                    }
                }
            }
        }
    }
}
