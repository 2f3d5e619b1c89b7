// What is kept of a call for its gradients.
#pragma once

#include <torch/csrc/autograd/custom_function.h>

#include "plan.h"

namespace upwell::bridge {

struct Kept {
    const Operator &op;
    const Plan &plan;
    std::vector<bool> given, needed;  // of the inputs; needed: their gradients are
    std::vector<Tensor> tensors;      // inputs, then outputs; undefined: no gradient that is needed takes it
    std::vector<at::IValue> options;
    Sizes sizes;  // the plan's, in its order

    // outputs: what is kept too.
    Kept(const Operator &op, const Arguments &arguments, const std::vector<Tensor> &outputs, std::vector<bool> needed);
    // As it was saved.
    explicit Kept(torch::autograd::AutogradContext *context);
    void save(torch::autograd::AutogradContext *context) &&;

    bool is_needed(const Gradient &gradient) const;
    c10::SymInt size(const std::string &name) const;
    // Of the operator that makes a gradient, given by its number; gradients: of the outputs.
    Arguments arguments_of(size_t number, const std::vector<Tensor> &gradients) const;
};

}  // namespace upwell::bridge
