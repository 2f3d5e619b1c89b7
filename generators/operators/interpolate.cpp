// The baselines: bilinear (align_corners = False) and nearest interpolation, one tap of weight 1.
#include "../reassembly_generator.h"

namespace {

using namespace upwell;

Operator bilinear_taps(int kernel) {
    return {Taps{kernel, Grid::LowRes, Sampling::Bilinear, Border::Replicate}, Normaliser::Constant};
}

Operator nearest_taps(int kernel) {
    return {Taps{kernel, Grid::LowRes, Sampling::Nearest, Border::Replicate}, Normaliser::Constant};
}

}  // namespace

UPWELL_REGISTER_LINEAR(bilinear, bilinear_taps)
UPWELL_REGISTER_LINEAR(nearest, nearest_taps)
