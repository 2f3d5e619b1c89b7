// The weight of a sample in weighted reverse convolution, log1p(response^2), and its adjoint, element by element.
#pragma once

#include "Halide.h"

namespace upwell {

struct WrcData {
    static std::vector<std::string> input_names() { return {"sample", "response"}; }
    explicit WrcData(const std::vector<Halide::Func> &inputs);

    Halide::Func output;  // x: weight, weighted
};

struct WrcDataBackward {
    static std::vector<std::string> input_names() { return {"sample", "response", "d_weight", "d_weighted"}; }
    explicit WrcDataBackward(const std::vector<Halide::Func> &inputs);

    Halide::Func output;  // x: d_sample, d_response
};

}  // namespace upwell
