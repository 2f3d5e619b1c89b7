// Where pixels read a line of values: two neighbours, linearly between them.
#pragma once

#include <cstdint>
#include <vector>

namespace upwell {

struct Reads {
    std::vector<int> lower;        // of each pixel, the value at or before it
    std::vector<double> fraction;  // and the way to the next
};

// Pixels 0, step, 2 step ... of `high`, `count` of them, in a line of `low` values: bilinear with align_corners=False,
// no pixel before the first value.
Reads read_bilinear(int64_t low, int64_t high, int64_t count, int64_t step);

// The pixels of `high` in a line of `low` values with one more at each end; the first of these has the number 0.
Reads read_bilinear_bordered(int64_t low, int64_t high);

// Pixel p of `high` at p (low - 1) / (high - 1) of `low` values: bilinear with align_corners=True; high at least low.
Reads read_corners(int64_t low, int64_t high);

// The transpose of reads of `low` values that never decrease: which pixels read a value.
struct Readers {
    int64_t count;               // the most of a value
    std::vector<int> first;      // of each value, the first pixel that reads it
    std::vector<double> weight;  // and how much that one and those after it do: low x count, row-major
};
Readers readers_of(const Reads &reads, int64_t low);

// Pixel p of `high` at p / step of the samples taken at every step-th pixel; it reads nothing beyond the last.
Reads read_between_samples(int64_t samples, int64_t high, int64_t step);

}  // namespace upwell
