#include "algebra/wrc_data.h"

#include "algebra/dimensions.h"
#include "algebra/log1p.h"

namespace upwell {

using namespace Halide;

WrcData::WrcData(const std::vector<Func> &inputs) : output("data") {
    const Expr sample = inputs[0](x), response = inputs[1](x);
    const Expr weight = log1p_square(response);
    output(x) = Tuple(weight, weight * sample);
}

WrcDataBackward::WrcDataBackward(const std::vector<Func> &inputs) : output("d_data") {
    const Expr sample = inputs[0](x), response = inputs[1](x), d_weight = inputs[2](x), d_weighted = inputs[3](x);
    output(x) =
        Tuple(d_weighted * log1p_square(response), (d_weight + d_weighted * sample) * log1p_square_slope(response));
}

}  // namespace upwell
