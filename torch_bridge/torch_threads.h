// Kernels on torch's threads.
#pragma once

namespace upwell::bridge {

// Hands at::parallel_for to the runtime, once: torch.set_num_threads holds, and there is one pool.
void run_on_torch_threads();

}  // namespace upwell::bridge
