// Gradients.
#pragma once

#include "arguments.h"

namespace upwell::bridge {

// Through the dispatcher, so that every transform of torch sees it. stack: all arguments.
std::vector<Tensor> call(const std::string &name, torch::jit::Stack stack);

// All arguments of a call, as an operator takes them.
torch::jit::Stack stack_of(const Operator &op, const Arguments &arguments);

// Whether outputs are kept for gradients, which then are made of what was not rounded.
bool keeps_outputs(const Operator &op);

// Calls the operator so that its outputs, those that callers see, can be differentiated; with_kept: the others too, as
// constants.
std::vector<Tensor> differentiable(const Operator &op, const Arguments &arguments, bool with_kept);

}  // namespace upwell::bridge
