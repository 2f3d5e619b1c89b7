// Positions of pixels against their definition.
#include "grid/position.h"

#include "support/catch.h"

using namespace upwell;

namespace {

constexpr int largest = 40;

}  // namespace

TEST_CASE("a position is exact for every pair of sizes", "[position]") {
    for (int low = 1; low <= largest; low++) {
        for (int high = 1; high <= largest; high++) {
            CAPTURE(low, high);
            for (int p = 0; p < high; p++) {
                const Position centre = position(Sampling::Bilinear, p, low, high);
                const Position cell = position(Sampling::Nearest, p, low, high);
                // base <= u < base + 1 with u = ((2p + 1) low - high) / (2 high), and the fraction is the rest.
                const int rest = (2 * p + 1) * low - high - centre.base * 2 * high;
                REQUIRE((0 <= rest && rest < 2 * high));
                REQUIRE(centre.fraction == double(rest) / (2 * high));
                REQUIRE((cell.base * high <= p * low && p * low < (cell.base + 1) * high));
                REQUIRE(cell.fraction == 0);
            }
        }
    }
}

TEST_CASE("positions where single precision lands in the wrong cell are right", "[position]") {
    const Sampling cell = Sampling::Nearest, centre = Sampling::Bilinear;
    CHECK(position(cell, 8, 14, 16).base == 7);   // 8 * 14 / 16 is 7 exactly
    CHECK(position(cell, 16, 14, 32).base == 7);  // likewise 16 * 14 / 32
    CHECK(position(cell, 15, 14, 32).base == 6);
    CHECK(position(centre, 0, 14, 16).base == -1);
    CHECK(position(centre, 0, 14, 16).fraction == 0.9375);
    CHECK(position(centre, 31, 14, 32).base == 13);
    CHECK(position(centre, 31, 14, 32).fraction == 0.28125);
    CHECK(position(centre, 1, 3, 3).base == 1);  // u is an integer
    CHECK(position(centre, 1, 3, 3).fraction == 0);
    CHECK(position(centre, 999999, 1000000, 1000001).base == 999998);  // products beyond 32 bits
}

TEST_CASE("pixels of one cell start a phase shift past ratio times the cell", "[position]") {
    for (const Sampling sampling : {Sampling::Nearest, Sampling::Bilinear}) {
        for (int ratio = 1; ratio <= 32; ratio++) {
            const int low = 5, shift = phase_shift(sampling, ratio);
            for (int p = 0; p < ratio * low; p++) {
                CAPTURE(ratio, p);
                REQUIRE(position(sampling, p, low, ratio * low).base == (p - shift + ratio) / ratio - 1);
            }
        }
    }
}
