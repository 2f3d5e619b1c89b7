// The runtime's warnings as torch's.
#pragma once

namespace upwell::bridge {

// Hands TORCH_WARN to the runtime, once.
void warn_through_torch();

}  // namespace upwell::bridge
