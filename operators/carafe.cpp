// Content-aware reassembly (CARAFE, ICCV 2019), with the softmax inside.
#include <upwell/operator.h>

using namespace upwell;

UPWELL_OPERATOR(carafe, "Content-aware reassembly (CARAFE, ICCV 2019): each pixel is a softmax-weighted sum of the K*K "
                        "low-res cells around its own. border: a tap outside the map is a zero (\"zero\", as "
                        "published), or it leaves the softmax (\"mask\").") {
    const Map value = low_res("value", "C");
    const Border outside = border({{"zero", Border::Zero, ""}, {"mask", Border::Masked, "_masked"}});
    const Taps taps{taps_per_side(5), Grid::LowRes, Sampling::Nearest, outside};
    return reassemble(value, softmax(tap_weights("logits", taps, Groups::Any)), taps);
}
