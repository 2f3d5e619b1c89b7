// The 3x3 Gaussian of ReSFU's detail branch: sigma 1, normalised, as its weight at one pixel's distance on an axis.
#pragma once

#include <cmath>

namespace upwell {

// 0: no blur.
inline double gaussian_side(bool blur) {
    const double side = std::exp(-0.5);
    return blur ? side / (1 + 2 * side) : 0;
}

}  // namespace upwell
