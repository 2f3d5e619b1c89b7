// Positions of pixels.
#include "position.h"

#include <cmath>

namespace upwell {
namespace {

Position divided(int64_t numerator, int64_t denominator) {
    const int64_t base = floor_divide(numerator, denominator);
    return {base, static_cast<double>(numerator - base * denominator) / static_cast<double>(denominator)};
}

Position within(double position, int64_t low) {
    const double base = std::floor(position);
    if (!(base >= -1)) {
        return {-1, 0};
    }
    return base < static_cast<double>(low) ? Position{static_cast<int64_t>(base), position - base}
                                           : Position{low - 1, 0};
}

// With the rounding of torch's CPU kernels, compiled with fused multiply-adds (ATen/native/UpSample.h).
template<class Real> Position scaled_centre(int64_t p, double scale, int64_t low) {
    const Real inverse = static_cast<Real>(1 / scale);
    return within(std::fma(inverse, static_cast<Real>(p) + Real(0.5), Real(-0.5)), low);
}

// A nearest neighbour is another one when its position is off by the last digit. Torch rounds to float32, whatever the
// maps are (nearest_idx in UpSample.h; only large contiguous maps of float64 it takes another way, forward).
Position scaled_cell(int64_t p, double scale, int64_t low) {
    return {within(static_cast<float>(1 / scale) * static_cast<float>(p), low).base, 0};
}

}  // namespace

int64_t floor_divide(int64_t a, int64_t b) {
    return a / b - (a % b < 0);
}

int64_t ceil_divide(int64_t a, int64_t b) {
    return -floor_divide(-a, b);
}

Position position(const Sampling &sampling, int64_t p, int64_t low, int64_t high) {
    if (!sampling.between_cells) {
        return {floor_divide(p * low, high), 0};
    }
    return divided((2 * p + 1) * low - high, 2 * high);
}

Position position_by_scale(const Sampling &sampling, int64_t p, int64_t low, double scale, bool in_float64) {
    if (!sampling.between_cells) {
        return scaled_cell(p, scale, low);
    }
    return in_float64 ? scaled_centre<double>(p, scale, low) : scaled_centre<float>(p, scale, low);
}

int phase_shift(const Sampling &sampling, int ratio) {
    return sampling.between_cells ? ratio / 2 : 0;
}

}  // namespace upwell
