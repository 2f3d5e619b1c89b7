// Gradients of the operators that make gradients and have none by their signature: what torch.autograd needs to
// differentiate twice, and forward mode once. Made of operators that can be differentiated any number of times.
#pragma once

#include "operators/arguments.h"

namespace upwell::bridge {

// Of each input of `op` that is needed, of those of its outputs (undefined: none). Throws if it is not implemented.
std::vector<Tensor> second_gradients(const Operator &op, const Arguments &arguments,
                                     const std::vector<Tensor> &gradients, const std::vector<bool> &needed);

Tensor sum(const Tensor &a, const Tensor &b);

}  // namespace upwell::bridge
