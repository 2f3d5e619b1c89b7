// The bilinear upsampling of an axis as a matrix U, as far as sums over upsampled maps need it.
#pragma once

#include <cstdint>
#include <vector>

namespace upwell {

// U^T U is tridiagonal: a pixel reads two cells beside each other.
struct Upsampling {
    std::vector<double> sums;       // of U's columns: U^T 1
    std::vector<double> diagonal;   // of U^T U
    std::vector<double> neighbour;  // its entries beside the diagonal
};

// From `low` cells to `high` pixels, align_corners=False, the edge repeated.
Upsampling make_upsampling(int64_t low, int64_t high);

}  // namespace upwell
