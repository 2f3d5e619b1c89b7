// Content-aware reassembly (CARAFE, ICCV 2019): a pixel is a weighted sum of the kernel x kernel low-res cells
// around its own. Weights are the softmax of logits (carafe, carafe_masked) or given (reassembly).
#include "../reassembly_generator.h"

namespace {

using namespace upwell;

Operator carafe_taps(int kernel) {
    return {Taps{kernel, Grid::LowRes, Sampling::Nearest, Border::Zero}, Normaliser::Softmax};
}

// Renormalised at the border: a tap outside the map leaves the softmax instead of reading a zero.
Operator carafe_masked_taps(int kernel) {
    return {Taps{kernel, Grid::LowRes, Sampling::Nearest, Border::Masked}, Normaliser::Softmax};
}

Operator reassembly_taps(int kernel) {
    return {Taps{kernel, Grid::LowRes, Sampling::Nearest, Border::Zero}, Normaliser::None};
}

}  // namespace

UPWELL_REGISTER_REASSEMBLY(carafe, carafe_taps)
UPWELL_REGISTER_REASSEMBLY(carafe_masked, carafe_masked_taps)
UPWELL_REGISTER_REASSEMBLY(reassembly, reassembly_taps)
