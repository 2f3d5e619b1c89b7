// The baselines: bilinear, bicubic (align_corners = False) and nearest interpolation.
#include <upwell/operator.h>

using namespace upwell;

UPWELL_OPERATOR(bilinear, "Bilinear interpolation, align_corners = False.") {
    return sample(low_res("value", "C"), Grid::LowRes, Sampling::Bilinear, Border::Replicate);
}

UPWELL_OPERATOR(bicubic, "Bicubic interpolation (a = -3/4), align_corners = False.") {
    return sample(low_res("value", "C"), Grid::LowRes, Sampling::Bicubic, Border::Replicate);
}

UPWELL_OPERATOR(nearest, "Nearest neighbour: each pixel has the value of the cell it is in.") {
    return sample(low_res("value", "C"), Grid::LowRes, Sampling::Nearest, Border::Replicate);
}
