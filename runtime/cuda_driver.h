// The few functions of the CUDA driver that Halide's runtime does not already call. The driver is loaded when it is
// first asked for: nothing of CUDA is needed to build, or to run on a machine without it.
#pragma once

#include <string>

namespace upwell::cuda {

using Result = int;  // CUresult; 0: success
using Context = void *;

// The driver's library, or null.
void *library();

// The context that every library of the process shares, made current nowhere. Throws Error.
Context primary_context(int device);

// Compute capability of the device of the current context, e.g. 90 for 9.0; 0 where it cannot be told.
int compute_capability();

// cuModuleLoadDataEx without options, its time added to compile_cost().
Result load_module(void **module, const void *image);

std::string error_name(Result result);

}  // namespace upwell::cuda
