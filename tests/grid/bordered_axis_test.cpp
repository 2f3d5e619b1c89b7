// Axes that go on beyond their ends, and the positions of their cells.
#include "grid/bordered_axis.h"
#include "support/catch.h"

using namespace upwell;

TEST_CASE("beyond an axis its last cell is repeated, or it goes on in mirrors", "[bordered_axis]") {
    CHECK(bordered_cells(Beyond::Replicate, 3, 1, 2) == std::vector{0, 0, 0, 1, 2, 2, 2});
    CHECK(bordered_cells(Beyond::Reflect, 3, 1, 2) == std::vector{2, 1, 0, 1, 2, 1, 0});
    CHECK(bordered_cells(Beyond::Replicate, 2, 3, 3) == std::vector{0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1});
    CHECK(bordered_cells(Beyond::Replicate, 2, 3, 0) == std::vector{0, 0, 0, 1, 1, 1});
}

TEST_CASE("an axis shorter than the reach is mirrored again and again", "[bordered_axis]") {
    CHECK(bordered_cells(Beyond::Reflect, 2, 1, 4) == std::vector{0, 1, 0, 1, 0, 1, 0, 1, 0, 1});
    CHECK(bordered_cells(Beyond::Reflect, 1, 1, 2) == std::vector{0, 0, 0, 0, 0});
    CHECK(bordered_cells(Beyond::Reflect, 3, 1, 6) == std::vector{2, 1, 0, 1, 2, 1, 0, 1, 2, 1, 0, 1, 2, 1, 0});
}

TEST_CASE("every position is one of its cell, and of no other", "[bordered_axis]") {
    for (const Beyond beyond : {Beyond::Replicate, Beyond::Reflect}) {
        for (const int64_t cells : {1, 2, 5, 9}) {
            for (const int64_t ratio : {1, 3}) {
                for (const int64_t reach : {0, 1, 4, 17}) {
                    CAPTURE(cells, ratio, reach);
                    const std::vector<int> bordered = bordered_cells(beyond, cells, ratio, reach);
                    REQUIRE(bordered.size() == size_t(cells * ratio + 2 * reach));
                    const Positions positions = positions_of(bordered, cells);
                    std::vector<int> met(bordered.size(), 0);
                    for (size_t i = 0; i < positions.of_cells.size(); i++) {
                        if (const int position = positions.of_cells[i]; position >= 0) {
                            met[position]++;
                            CHECK(bordered[position] == static_cast<int>(i) % cells);
                        }
                    }
                    CHECK(met == std::vector<int>(bordered.size(), 1));
                }
            }
        }
    }
}
