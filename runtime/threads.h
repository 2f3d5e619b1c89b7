// Parallel loops on the caller's thread pool.
#pragma once

#include "upwell.h"

namespace upwell {

// Makes Halide's parallel loops run on the pool of the Call they belong to.
void install_parallel_for();

// The caller's pool, or null.
const ParallelFor *current_pool();

}  // namespace upwell
