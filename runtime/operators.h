// What the operators are: their arguments, shapes and sampling grids.
#pragma once

#include "grid/window.h"
#include "upwell.h"

namespace upwell {

enum class Direction { Forward, DValue, DWeight };

struct Family {
    const char *name;
    const char *generator;  // what the compiled kernels are called
    const char *weights;    // name of the weights argument, or null
    Grid grid;
    Sampling sampling;
    Border border;  // has_border: unless a call says another
    bool has_groups, has_border, has_mask_ratio;
};

struct Operator {
    const Family *family;
    Direction direction;
    std::string name;
};

const std::vector<Operator> &operators();
const Operator &find_operator(const std::string &name);  // throws Error with the names there are

// The tensors of a call by role, and its sizes; what the direction does not use is null.
struct Problem {
    Operator op;
    Parameters parameters;
    Dtype dtype;
    int64_t N, C, h, w, H, W;
    const Tensor *value, *weights, *d_output, *output;

    Taps taps() const;

    // Parameters::scale of rows and columns; 0 too where it is a whole number and the true ratio, and where torch
    // leaves it aside.
    std::array<double, 2> scale() const;
};

// Checks everything that can be wrong with a call; throws Error.
Problem check(const Operator &op, const Parameters &parameters, const std::vector<Tensor> &inputs,
              const Tensor &output);

}  // namespace upwell
