// Fused neighbour selection (ReSFU, arXiv 2407.02283, Eq. 13): a pixel is a softmax-weighted sum of
// kernel x kernel bilinear samples, one low-res cell apart; a tap outside the high-res image leaves the softmax.
#include "../reassembly_generator.h"

namespace {

upwell::Operator fns_taps(int kernel) {
    using namespace upwell;
    return {Taps{kernel, Grid::HighRes, Sampling::Bilinear, Border::Masked}, Normaliser::Softmax};
}

}  // namespace

UPWELL_REGISTER_REASSEMBLY(fns, fns_taps)
