// Gradients of the operators with a host side of their own.
#pragma once

#include "host_arguments.h"

namespace upwell::bridge {

// Whether outputs are kept for gradients, which then are made of what was not rounded.
bool keeps_outputs(const HostOperator &op);

// Calls the operator so that its outputs, those that callers see, can be differentiated.
std::vector<Tensor> differentiable(const HostOperator &op, const HostArguments &arguments);

}  // namespace upwell::bridge
