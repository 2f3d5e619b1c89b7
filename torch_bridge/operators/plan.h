// How the gradients of an operator are made: what makes them, and what of a call that takes.
#pragma once

#include "arguments.h"

namespace upwell::bridge {

// Where the argument of an operator that makes a gradient comes from.
struct Source {
    enum { Gradient, Input, Output, Nothing } from;
    int number = -1;
};

struct Plan {
    struct Call {
        const Operator *maker = nullptr;  // null: the gradient is not made by an operator
        std::vector<Source> tensors;      // for each of its inputs
        std::vector<int> options;         // for each of its options the number of one of the call's, or -1: a size
    };
    // A number that is kept: the size of an input, or, where no tensor has it, what the call says.
    struct Size {
        std::string name;
        int input = -1, dimension = -1;
    };
    std::vector<Call> calls;  // for each gradient of the signature
    std::vector<Size> sizes;

    explicit Plan(const Operator &op);

    // Made at its first use: what makes gradients may be added after the operator.
    static const Plan &of(const Operator &op);
};

}  // namespace upwell::bridge
