// Taps a ratio apart on an axis, as taps at whole pixels: a tap between pixels is bilinear, so it is shared by those
// around it.
#pragma once

#include <cstdint>
#include <vector>

namespace upwell {

struct AxisSpread {
    std::vector<int64_t> offsets;  // pixels, ascending
    std::vector<double> shares;    // of each tap at each of them: taps x offsets, row-major
    bool whole = true;             // taps are at pixels themselves, one each

    int64_t count() const { return static_cast<int64_t>(offsets.size()); }
    double share(int64_t tap, int64_t offset) const { return shares[tap * count() + offset]; }
};

// `taps`, odd, high / low pixels apart; high and low at least 1.
AxisSpread spread_axis(int64_t taps, int64_t high, int64_t low);

}  // namespace upwell
