// What the CPU, the CUDA and the Meta kernel of every window operator do.
#pragma once

#include "../kernel.h"
#include "window_options.h"

namespace upwell::bridge {

// Throws with this name unless there are kernels of so many taps, and the groups divide the channels.
void check_kernel_and_groups(const std::string &name, const Operator &op, const WindowOptions &options,
                             const c10::SymInt &channels);

// Checks and calls; a tensor on the meta device stops before the call.
Tensor compute(const Operator &op, const std::vector<Tensor> &inputs, const WindowOptions &options);

}  // namespace upwell::bridge
