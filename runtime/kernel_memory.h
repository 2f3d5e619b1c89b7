// The memory that kernels work in.
#pragma once

namespace upwell {

// Makes kernels take their scratch from what earlier ones gave back on the same thread: a kernel asks for the same few
// sizes for every band and tile of every map. (On one thread the guided filter's spent a sixth of their time in malloc
// and free.) A thread keeps at most 4 MiB, in pieces of at most 256 KiB, and gives it back when it ends.
void install_kernel_memory();

}  // namespace upwell
