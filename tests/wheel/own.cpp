// A made-up operator: the mean of the cells around a pixel, weighted by how like a guide they are.
#include <upwell/operator.h>

using namespace upwell;

UPWELL_OPERATOR(likeness, "The cells around a pixel, by their likeness to a guide.") {
    const Map value = low_res("value", "C"), key = low_res("key", "D"), query = high_res("query", "D");
    const Taps taps{taps_per_side(3), Grid::LowRes, Sampling::Nearest, Border::Replicate};
    return reassemble(value, softmax(dot(query, key, taps)), taps);
}
