// What the kernels of an operator are compiled from.
#pragma once

#include <string>

#include "grid/taps.h"

namespace upwell {

// What a compiled kernel of a window makes: the sum over taps, or the gradient of one of its factors.
enum class Direction { Forward, DValue, DWeight };

// What turns an operator's weight input into tap weights. Constant: there is no input and one tap of weight 1.
enum class Normaliser { Constant, None, Softmax };

// What kernels are compiled from: T(weight, value, g) = sum over pixels p, taps i and channels c of
// weight_i(p) value(tap i of p, c) g(p, c), with the derivatives of T as its directions.
struct Window {
    std::string name;  // of its generators: name, name_d_value, name_d_weight
    Taps taps;
    Normaliser normaliser;
    bool has_bias = false;  // Direction::DWeight adds an argument, of each tap and group, to what it makes

    bool has_weights() const { return normaliser != Normaliser::Constant; }
};

}  // namespace upwell
