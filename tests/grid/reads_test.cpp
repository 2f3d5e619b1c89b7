// Reads, normal matrices and spread taps, each against sums written out.
#include "grid/reads.h"
#include "grid/spread.h"
#include "grid/upsampling.h"

#include <algorithm>
#include <cmath>

#include "support/catch.h"

using namespace upwell;

namespace {

struct Size {
    int64_t low, high;
};

const std::vector<Size> sizes{{1, 1}, {1, 9}, {5, 7}, {7, 5}, {14, 16}, {6, 12}, {9, 1}, {3, 100}, {57, 33}};

double centre(int64_t p, Size size) {
    return (double(p) + 0.5) * double(size.low) / double(size.high) - 0.5;
}

// What a pixel reads of a line whose value is its number.
double value(const Reads &reads, int64_t p) {
    return reads.lower[p] + reads.fraction[p];
}

}  // namespace

TEST_CASE("a bilinear read is at the pixel's centre, and never before the first value", "[reads]") {
    for (const Size size : sizes) {
        for (const int64_t step : {1, 2, 3}) {
            CAPTURE(size.low, size.high, step);
            const int64_t count = (size.high + step - 1) / step;
            const Reads reads = read_bilinear(size.low, size.high, count, step);
            for (int64_t i = 0; i < count; i++) {
                CHECK(value(reads, i) == Approx(std::max(centre(step * i, size), 0.0)).margin(1e-12));
                CHECK((0 <= reads.lower[i] && reads.lower[i] < size.low && reads.fraction[i] < 1));
            }
        }
    }
}

TEST_CASE("with a border of one value the first has the number 0", "[reads]") {
    for (const Size size : sizes) {
        const Reads reads = read_bilinear_bordered(size.low, size.high);
        for (int64_t p = 0; p < size.high; p++) {
            CHECK(value(reads, p) == Approx(centre(p, size) + 1).margin(1e-12));
            CHECK((0 <= reads.lower[p] && reads.lower[p] <= size.low));
        }
    }
}

TEST_CASE("with aligned corners the first and the last pixel read the first and the last value", "[reads]") {
    for (const Size size : {Size{1, 1}, {1, 5}, {2, 2}, {3, 12}, {5, 35}, {7, 7}}) {
        CAPTURE(size.low, size.high);
        const Reads reads = read_corners(size.low, size.high);
        for (int64_t p = 0; p < size.high; p++) {
            const double place = size.high > 1 ? double(p) * double(size.low - 1) / double(size.high - 1) : 0;
            CHECK(value(reads, p) == Approx(place).margin(1e-12));
            CHECK((0 <= reads.lower[p] && reads.lower[p] < size.low && reads.fraction[p] < 1));
        }
        const Readers readers = readers_of(reads, size.low);
        for (int64_t i = 0; i < size.low; i++) {
            for (int64_t p = 0; p < size.high; p++) {
                const double share = reads.lower[p] == i       ? 1 - reads.fraction[p]
                                     : reads.lower[p] == i - 1 ? reads.fraction[p]
                                                               : 0;
                const int64_t at = p - readers.first[i];
                const bool is_listed = at >= 0 && at < readers.count;
                CHECK((is_listed ? readers.weight[i * readers.count + at] : 0) == share);
            }
        }
    }
}

TEST_CASE("between samples a pixel reads at its place, beyond the last that one alone", "[reads]") {
    for (const int64_t step : {1, 2, 3}) {
        for (const int64_t high : {1, 2, 7, 12}) {
            const int64_t samples = std::max<int64_t>(high / step, 1);
            const Reads reads = read_between_samples(samples, high, step);
            for (int64_t p = 0; p < high; p++) {
                CHECK(value(reads, p) == Approx(std::min(double(p) / double(step), double(samples - 1))).margin(1e-12));
            }
        }
    }
}

TEST_CASE("an upsampling's normal matrix is the sum over its pixels", "[upsampling]") {
    for (const Size size : sizes) {
        CAPTURE(size.low, size.high);
        const int64_t n = size.low;
        std::vector<double> sums(n), normal(n * n);
        for (int64_t p = 0; p < size.high; p++) {
            const double at = std::clamp(centre(p, size), 0.0, double(n - 1));
            std::vector<double> row(n);
            for (int64_t l = 0; l < n; l++) {
                row[l] = std::max(0.0, 1 - std::abs(at - double(l)));
                sums[l] += row[l];
            }
            for (int64_t i = 0; i < n * n; i++) {
                normal[i] += row[i / n] * row[i % n];
            }
        }
        const Upsampling u = make_upsampling(n, size.high);
        for (int64_t i = 0; i < n; i++) {
            CHECK(u.sums[i] == Approx(sums[i]).margin(1e-12));
            for (int64_t j = 0; j < n; j++) {
                const double expected = i == j ? u.diagonal[i] : std::abs(i - j) == 1 ? u.neighbour[std::min(i, j)] : 0;
                CHECK(normal[i * n + j] == Approx(expected).margin(1e-12));
            }
        }
    }
}

TEST_CASE("spread taps read a line where the taps would", "[spread]") {
    for (const Size ratio : {Size{1, 2}, Size{1, 1}, Size{4, 7}, Size{7, 4}, Size{5, 13}, Size{3, 6}}) {
        for (const int64_t taps : {1, 3, 5, 7}) {
            CAPTURE(ratio.low, ratio.high, taps);
            const AxisSpread spread = spread_axis(taps, ratio.high, ratio.low);
            CHECK(std::is_sorted(spread.offsets.begin(), spread.offsets.end()));
            CHECK(spread.whole == (taps == 1 || ratio.high % ratio.low == 0));
            for (int64_t tap = 0; tap < taps; tap++) {
                const double place = double((tap - taps / 2) * ratio.high) / double(ratio.low);
                double total = 0, mean = 0;
                for (int64_t o = 0; o < spread.count(); o++) {
                    const double share = spread.share(tap, o);
                    CHECK(share ==
                          Approx(std::max(0.0, 1 - std::abs(place - double(spread.offsets[o])))).margin(1e-12));
                    total += share;
                    mean += share * double(spread.offsets[o]);
                }
                CHECK(total == Approx(1));
                CHECK(mean == Approx(place).margin(1e-12));
            }
        }
    }
}
