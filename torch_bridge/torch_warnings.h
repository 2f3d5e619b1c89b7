// The runtime's warnings as torch's.
#pragma once

namespace upwell::bridge {

// Hands the runtime what takes its warnings, once: Python where it is there, else TORCH_WARN. (Torch 2.11 writes the
// warnings of operators that Python calls to stderr.)
void warn_through_torch();

}  // namespace upwell::bridge
