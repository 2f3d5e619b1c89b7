// Parallel loops on the caller's thread pool.
#pragma once

#include "upwell.h"

namespace upwell {

// Makes Halide's parallel loops run on the pool of the Call they belong to.
void install_parallel_for();

// What set_parallel_for() was given.
struct Pool {
    ParallelFor parallel_for;
    std::function<int64_t()> count;
};

// The caller's pool, or null.
const Pool *current_pool();

// How many threads a parallel loop may take.
int64_t thread_count();

}  // namespace upwell
