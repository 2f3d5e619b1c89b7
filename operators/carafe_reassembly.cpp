// Content-aware reassembly (CARAFE, ICCV 2019), its weights as given.
#include <upwell/operator.h>

using namespace upwell;

UPWELL_OPERATOR(carafe_reassembly, "Content-aware reassembly (CARAFE, ICCV 2019) with weights as given: each pixel is a "
                                   "weighted sum of the K*K low-res cells around its own, zeros outside the map.") {
    const Map value = low_res("value", "C");
    const Taps taps{taps_per_side(5), Grid::LowRes, Sampling::Nearest, Border::Zero};
    return reassemble(value, tap_weights("weight", taps, Groups::Any), taps);
}
