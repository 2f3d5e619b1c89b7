// The tables of the general kernels against their definitions.
#include <algorithm>
#include <atomic>
#include <cmath>
#include <set>
#include <thread>

#include "grid/axis_table.h"
#include "grid/cell_window.h"
#include "support/catch.h"

using namespace upwell;

namespace {

struct Size {
    int64_t low, high;
};

// Enlarging, shrinking, one pixel, and pairs where float32 arithmetic lands one pixel off.
const std::vector<Size> sizes{{1, 1}, {1, 9},   {5, 7},   {7, 5},   {14, 16},   {14, 32},    {6, 12},
                              {9, 1}, {3, 100}, {33, 57}, {57, 33}, {100, 300}, {1000, 1001}};

Taps centres(int kernel) {
    return {kernel, Grid::LowRes, Sampling::Bilinear, Border::Replicate};
}

Taps cells(int kernel, Border border = Border::Replicate) {
    return {kernel, Grid::LowRes, Sampling::Nearest, border};
}

}  // namespace

TEST_CASE("a base is the floor of the position", "[axis]") {
    for (const Size size : sizes) {
        CAPTURE(size.low, size.high);
        const AxisTable centre = make_axis_table({centres(1)}, size.low, size.high);
        const AxisTable cell = make_axis_table({cells(1)}, size.low, size.high);
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
            for (const bool in_float64 : {false, true}) {
                CAPTURE(size.low, size.high, scale, in_float64);
                const double digits = in_float64 ? 1e-14 : 1e-6;
                const AxisTable centre = make_axis_table({centres(1), 0, scale, in_float64}, size.low, size.high);
                const AxisTable cell = make_axis_table({cells(1), 0, scale, in_float64}, size.low, size.high);
                for (int64_t p = 0; p < size.high; p++) {
                    const double at = (double(p) + 0.5) / scale - 0.5, first = double(p) / scale;
                    const double last = double(size.low - 1);
                    REQUIRE(
                        centre.taps[p] + centre.fraction[p] ==
                        Approx(std::clamp(at, -1.0, at < last + 1 ? at : last)).margin(digits * (1 + std::abs(at))));
                    REQUIRE((centre.fraction[p] >= 0 && centre.fraction[p] < 1));
                    const double found = centre.taps[p] + centre.fraction[p];
                    REQUIRE((in_float64 || found == double(float(found))));
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
        for (const Taps &taps : {centres(5), cells(5)}) {
            CAPTURE(size.low, size.high);
            const AxisTable table = make_axis_table({taps}, size.low, size.high);
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
            const Taps pixels{5, Grid::HighRes, Sampling::Bilinear, Border::Masked};
            const AxisTable high = make_axis_table({pixels, mask_ratio}, size.low, size.high);
            const AxisTable low = make_axis_table({cells(5, Border::Masked)}, size.low, size.high);
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

TEST_CASE("without a masked border every tap is valid", "[axis]") {
    for (const Border border : {Border::Replicate, Border::Zero}) {
        const AxisTable table = make_axis_table({cells(5, border)}, 3, 7);
        for (int64_t p = 0; p < 7; p++) {
            CHECK((table.taps[7 + p] == 0 && table.taps[14 + p] == 4));
        }
    }
}

TEST_CASE("taps that move inside the map are the cells of a window that does", "[axis]") {
    for (const int kernel : {1, 3, 5, 7}) {
        for (const int64_t low : {1, 2, 3, 4, 6, 9}) {
            for (const int64_t ratio : {1, 2, 3}) {
                CAPTURE(kernel, low, ratio);
                const int64_t high = ratio * low;
                const AxisTable table = make_axis_table({cells(kernel, Border::Inside)}, low, high);
                const CellWindow window = shifted_window(kernel, low, high);
                for (int64_t p = 0; p < high; p++) {
                    const int64_t start = table.taps[p] - kernel / 2;
                    REQUIRE(start + table.taps[high + p] == window.begin[p]);
                    REQUIRE(start + table.taps[2 * high + p] + 1 == window.end[p]);
                    // The tap that stands in for those that are not there.
                    REQUIRE(table.taps[high + p] <= kernel / 2);
                    REQUIRE(table.taps[2 * high + p] >= kernel / 2);
                }
            }
        }
    }
}

TEST_CASE("fractions are there in both precisions", "[axis]") {
    const AxisTable table = make_axis_table({centres(1)}, 7, 19);
    for (int64_t p = 0; p < 19; p++) {
        CHECK(table.fraction32[p] == static_cast<float>(table.fraction[p]));
    }
}

TEST_CASE("a table is made once, for each rule and size its own", "[axis]") {
    const AxisRule rule{centres(3)};
    const auto first = axis_table(rule, 5, 11);
    CHECK(axis_table(rule, 5, 11) == first);
    std::set<std::shared_ptr<const AxisTable>> all{first};
    all.insert({axis_table(rule, 11, 5), axis_table(rule, 5, 12), axis_table({centres(5)}, 5, 11),
                axis_table({cells(3)}, 5, 11), axis_table({cells(3, Border::Masked)}, 5, 11),
                axis_table({centres(3), 0, 2.2}, 5, 11), axis_table({centres(3), 0, 2.2, true}, 5, 11),
                axis_table({{3, Grid::HighRes, Sampling::Bilinear, Border::Masked}, 2}, 5, 11)});
    CHECK(all.size() == 9);
    for (int64_t high = 1; high < 200; high++) {
        CHECK(axis_table(rule, 5, high) == axis_table(rule, 5, high));  // also when older ones have to go
    }
}

TEST_CASE("threads that ask at once get the same table, and many sizes replace each other", "[axis]") {
    std::vector<std::thread> threads;
    std::atomic<int> wrong{0};
    for (int t = 0; t < 4; t++) {
        threads.emplace_back([&wrong, t] {
            for (int64_t i = 0; i < 400; i++) {
                const int64_t low = 1 + (i * 7 + t) % 100, high = low + i % 5;
                const auto kept = axis_table({centres(3)}, low, high);
                const AxisTable made = make_axis_table({centres(3)}, low, high);
                wrong += kept->taps != made.taps || kept->fraction != made.fraction || kept->begin != made.begin;
            }
        });
    }
    for (std::thread &thread : threads) {
        thread.join();
    }
    CHECK(wrong == 0);
}
