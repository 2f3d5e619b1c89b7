// The tables of the general kernels against their definitions.
#include <algorithm>
#include <cmath>

#include "axis_table.h"
#include "support/catch.h"

using namespace upwell;

namespace {

struct Size {
    int64_t low, high;
};

// Enlarging, shrinking, one pixel, and pairs where float32 arithmetic lands one pixel off.
const std::vector<Size> sizes{{1, 1}, {1, 9},   {5, 7},   {7, 5},   {14, 16},   {14, 32},    {6, 12},
                              {9, 1}, {3, 100}, {33, 57}, {57, 33}, {100, 300}, {1000, 1001}};

}  // namespace

TEST_CASE("a base is the floor of the position", "[axis]") {
    for (const Size size : sizes) {
        CAPTURE(size.low, size.high);
        const AxisTable centre = make_axis_table({Grid::Centre, Validity::All, 1, 0}, size.low, size.high);
        const AxisTable cell = make_axis_table({Grid::Cell, Validity::All, 1, 0}, size.low, size.high);
        for (int64_t p = 0; p < size.high; p++) {
            // base <= ((2p + 1) low - high) / (2 high) < base + 1, and base <= p low / high < base + 1
            const int64_t u = (2 * p + 1) * size.low - size.high, b = centre.taps[p], c = cell.taps[p];
            REQUIRE((2 * size.high * b <= u && u < 2 * size.high * (b + 1)));
            REQUIRE((size.high * c <= p * size.low && p * size.low < size.high * (c + 1)));
            REQUIRE(centre.fraction[p] == Approx(double(u) / double(2 * size.high) - double(b)).margin(1e-12));
            REQUIRE(cell.fraction[p] == 0);
        }
    }
}

TEST_CASE("positions by a real scale are p over that scale, whatever the sizes", "[axis]") {
    for (const Size size : sizes) {
        for (const double scale : {0.3, 0.7, 1.3, 2.05, 41.0, 1e-30, 1e30}) {
            for (const Dtype real : {Dtype::Float32, Dtype::Float64}) {
                CAPTURE(size.low, size.high, scale, name(real));
                const double digits = real == Dtype::Float32 ? 1e-6 : 1e-14;
                const AxisTable centre =
                    make_axis_table({Grid::Centre, Validity::All, 1, 0, scale, real}, size.low, size.high);
                const AxisTable cell =
                    make_axis_table({Grid::Cell, Validity::All, 1, 0, scale, real}, size.low, size.high);
                for (int64_t p = 0; p < size.high; p++) {
                    const double at = (double(p) + 0.5) / scale - 0.5, first = double(p) / scale;
                    const double last = double(size.low - 1);
                    REQUIRE(centre.taps[p] + centre.fraction[p] ==
                            Approx(std::clamp(at, -1.0, at < last + 1 ? at : last)).margin(digits * (1 + std::abs(at))));
                    REQUIRE((centre.fraction[p] >= 0 && centre.fraction[p] < 1));
                    REQUIRE(std::abs(double(cell.taps[p]) - std::min(std::floor(first), last)) <= 1);
                    REQUIRE((cell.taps[p] >= 0 && cell.taps[p] < size.low && cell.fraction[p] == 0));
                }
                REQUIRE(centre.begin.back() == size.high);
                REQUIRE(cell.begin.back() == size.high);
            }
        }
    }
}

TEST_CASE("begin finds the first pixel of a cell", "[axis]") {
    for (const Size size : sizes) {
        for (const Grid grid : {Grid::Centre, Grid::Cell}) {
            CAPTURE(size.low, size.high);
            const AxisTable table = make_axis_table({grid, Validity::All, 5, 0}, size.low, size.high);
            REQUIRE(table.margin == 7);
            REQUIRE(int64_t(table.begin.size()) == size.low + 2 * table.margin + 1);
            for (int64_t m = -table.margin; m <= size.low + table.margin; m++) {
                const int64_t first = table.begin[m + table.margin];
                REQUIRE((first == size.high || table.taps[first] >= m));
                REQUIRE((first == 0 || table.taps[first - 1] < m));
                REQUIRE((m == -table.margin || first - table.begin[m + table.margin - 1] <= table.cell));
            }
            REQUIRE(table.begin.front() == 0);
            REQUIRE(table.begin.back() == size.high);
        }
    }
}

TEST_CASE("a tap is valid where its neighbour is inside", "[axis]") {
    for (const Size size : sizes) {
        for (const int64_t mask_ratio : {0, 1, 4}) {
            CAPTURE(size.low, size.high, mask_ratio);
            const AxisTable high =
                make_axis_table({Grid::Centre, Validity::HighRes, 5, mask_ratio}, size.low, size.high);
            const AxisTable low = make_axis_table({Grid::Cell, Validity::LowRes, 5, 0}, size.low, size.high);
            for (int64_t p = 0; p < size.high; p++) {
                for (int64_t tap = 0; tap < 5; tap++) {
                    const int64_t offset = tap - 2;
                    const int64_t at = mask_ratio ? p + offset * mask_ratio : p * size.low + offset * size.high;
                    const int64_t last = mask_ratio ? size.high - 1 : (size.high - 1) * size.low;
                    const int64_t cell = low.taps[p] + offset;
                    REQUIRE((0 <= at && at <= last) ==
                            (high.taps[size.high + p] <= tap && tap <= high.taps[2 * size.high + p]));
                    REQUIRE((0 <= cell && cell < size.low) ==
                            (low.taps[size.high + p] <= tap && tap <= low.taps[2 * size.high + p]));
                }
            }
        }
    }
}
