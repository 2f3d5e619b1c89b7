// Taps one ratio apart, as taps at whole pixels: a tap between pixels is bilinear, so its weight is shared by those
// around it.
#pragma once

#include <array>

#include "grid/spread.h"
#include "operators/pcdc_tiles.h"

namespace upwell::pcdc {

// Rows' high and low, columns' high and low: taps are high / low pixels apart.
using Ratio = std::array<int64_t, 4>;

class Taps {
public:
    // weight L,E,K,K, contiguous.
    Taps(Host &host, const Tensor &weight, const Ratio &ratio);

    const std::vector<Offset> &offsets() const { return offsets_; }
    const Tensor &weight() const { return weight_; }  // L,E,taps
    int64_t count() const { return static_cast<int64_t>(offsets_.size()); }

    // d_weight L,E,K,K, of the gradient L,E,taps, contiguous, and what each of them has besides, L,E.
    void gather(const Tensor &d_taps, const Tensor &besides, const Tensor &d_weight) const;

private:
    bool are_whole() const { return rows_.whole && columns_.whole; }
    Tensor shares(const AxisSpread &axis) const;

    Host &host_;
    const std::vector<int64_t> sizes_;  // L,E,K,K
    const AxisSpread rows_, columns_;
    std::vector<Offset> offsets_;
    Tensor weight_;
};

}  // namespace upwell::pcdc
