// Fine-grained neighbour selection (ReSFU, arXiv 2407.02283, Eq. 2 with the neighbours of Sec. 4.3).
#include <upwell/operator.h>

using namespace upwell;

UPWELL_OPERATOR(fns,
                "Fine-grained neighbour selection (ReSFU, arXiv 2407.02283, Eq. 2 with Sec. 4.3's neighbours): each "
                "pixel is a softmax-weighted sum of K*K bilinear samples of value, one low-res cell apart; taps "
                "outside the high-res image leave the softmax.") {
    const Map value = low_res("value", "C");
    const Taps taps{taps_per_side(3), Grid::HighRes, Sampling::Bilinear, Border::Masked};
    return reassemble(value, softmax(tap_weights("logits", taps)), taps);
}
