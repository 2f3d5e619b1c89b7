// Gradients of the window operators.
#pragma once

#include "../kernel.h"
#include "window_options.h"

namespace upwell::bridge {

// Through the dispatcher, so that every transform of torch sees it.
Tensor call(const Operator &op, const std::vector<Tensor> &tensors, const WindowOptions &options);

// The same with a node of autograd.
Tensor differentiable(const Operator &op, const std::vector<Tensor> &tensors, const WindowOptions &options);

}  // namespace upwell::bridge
