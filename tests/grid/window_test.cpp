// The compiler's first pass, taps -> window, against hand-written values and against its definition.
#include "grid/window.h"

#include "grid/position.h"

#include <algorithm>
#include <cmath>
#include <random>

#include "support/catch.h"

using namespace upwell;

namespace {

Taps taps(int kernel, Sampling sampling) {
    return {kernel, Grid::LowRes, sampling, Border::Replicate};
}

double replicated(const std::vector<double> &map, int cell) {
    return map[std::clamp(cell, 0, static_cast<int>(map.size()) - 1)];
}

// The map at a real position: its cells joined by straight lines, its edges repeated.
double sampled(const std::vector<double> &map, double position) {
    const int base = static_cast<int>(std::floor(position));
    const double fraction = position - base;
    return (1 - fraction) * replicated(map, base) + fraction * replicated(map, base + 1);
}

std::vector<double> random_map(int size) {
    std::mt19937 bits(size);
    std::uniform_real_distribution<double> uniform(-1, 1);
    std::vector<double> map(size);
    std::generate(map.begin(), map.end(), [&] { return uniform(bits); });
    return map;
}

constexpr int largest = 40;

}  // namespace

TEST_CASE("a nearest tap is its own cell", "[window]") {
    const AxisWindow window = lower(taps(5, Sampling::Nearest));
    CHECK(window.first == -2);
    CHECK(window.size == 5);
    CHECK(window.last() == 2);
    for (int tap = 0; tap < 5; tap++) {
        for (int cell = 0; cell < 5; cell++) {
            CHECK(evaluate(window.tap_cells[tap][cell], 0) == (tap == cell ? 1 : 0));
        }
    }
}

TEST_CASE("a bilinear tap shares its weight between two cells", "[window]") {
    const AxisWindow window = lower(taps(1, Sampling::Bilinear));
    REQUIRE(window.first == 0);
    REQUIRE(window.size == 2);
    CHECK(window.tap_cells[0][0] == Polynomial{1, -1, 0, 0});
    CHECK(window.tap_cells[0][1] == Polynomial{0, 1, 0, 0});
    CHECK(evaluate(window.tap_cells[0][0], 0.375) == 0.625);
    CHECK(evaluate(window.tap_cells[0][1], 0.375) == 0.375);
}

TEST_CASE("fine-grained neighbour selection with 3 x 3 taps has a 4 x 4 window", "[window]") {
    const AxisWindow window = lower({3, Grid::HighRes, Sampling::Bilinear, Border::Masked});
    CHECK(window.first == -1);
    CHECK(window.size == 4);
    const double expected[3][4] = {{0.75, 0.25, 0, 0}, {0, 0.75, 0.25, 0}, {0, 0, 0.75, 0.25}};
    for (int tap = 0; tap < 3; tap++) {
        for (int cell = 0; cell < 4; cell++) {
            CHECK(evaluate(window.tap_cells[tap][cell], 0.25) == expected[tap][cell]);
        }
    }
}

TEST_CASE("the weights of a tap sum to one", "[window]") {
    for (const Sampling sampling : {Sampling::Nearest, Sampling::Bilinear}) {
        for (const int kernel : {1, 3, 5, 7}) {
            const AxisWindow window = lower(taps(kernel, sampling));
            REQUIRE(static_cast<int>(window.tap_cells.size()) == kernel);
            for (const double fraction : {0.0, 0.1, 0.5, 0.999}) {
                for (const auto &cells : window.tap_cells) {
                    REQUIRE(static_cast<int>(cells.size()) == window.size);
                    double total = 0;
                    for (const Polynomial &weight : cells) {
                        total += evaluate(weight, fraction);
                    }
                    CHECK(total == Approx(1).margin(1e-15));
                }
            }
        }
    }
}

TEST_CASE("a tap sampled directly equals the sum over its window", "[window]") {
    double worst = 0;
    for (const int kernel : {1, 3, 5, 7}) {
        const AxisWindow window = lower(taps(kernel, Sampling::Bilinear));
        for (const int low : {1, 2, 3, 8, 13}) {
            const std::vector<double> map = random_map(low);
            for (int high = 1; high <= largest; high++) {
                for (int p = 0; p < high; p++) {
                    const Position at = position(Sampling::Bilinear, p, low, high);
                    const double u = (p + 0.5) * low / high - 0.5;
                    for (int tap = 0; tap < kernel; tap++) {
                        double sum = 0;
                        for (int j = 0; j < window.size; j++) {
                            sum += evaluate(window.tap_cells[tap][j], at.fraction) *
                                   replicated(map, at.base + window.first + j);
                        }
                        worst = std::max(worst, std::abs(sum - sampled(map, u + tap - kernel / 2)));
                    }
                }
            }
        }
    }
    CHECK(worst < 1e-13);
}

TEST_CASE("a kernel that is even or not positive is refused", "[window]") {
    for (const int kernel : {2, 4, 0, -1, -3}) {
        CAPTURE(kernel);
        CHECK_THROWS_AS(lower(taps(kernel, Sampling::Bilinear)), std::invalid_argument);
        CHECK_THROWS_WITH(lower(taps(kernel, Sampling::Nearest)),
                          ContainsSubstring("but is " + std::to_string(kernel)));
    }
}
