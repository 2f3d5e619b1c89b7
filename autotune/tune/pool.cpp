// The parallel loops of a tuner's process, as the library's run on torch's threads (runtime/threads.cpp): an OpenMP
// pool, every thread takes the next task that nobody has, and loops inside a parallel loop are serial. And the
// library's memory.
#include <algorithm>
#include <atomic>
#include <cstdint>

#include <omp.h>

#include "runtime/kernel_memory.h"

namespace {

using Task = int (*)(void *user_context, int index, uint8_t *closure);

}  // namespace

// For halide_set_custom_do_par_for().
extern "C" int upwell_do_par_for(void *user_context, Task task, int min, int size, uint8_t *closure) {
    std::atomic<int> status{0}, next{0};
    const auto work = [&] {
        for (int i = next++; i < size; i = next++) {
            const int failed = task(user_context, min + i, closure);
            int none = 0;
            status.compare_exchange_strong(none, failed);
        }
    };
    if (size == 1 || omp_in_parallel()) {  // a loop of one leaves the pool to the loops inside it
        work();
        return status;
    }
#pragma omp parallel num_threads(std::min(size, omp_get_max_threads()))
    work();
    return status;
}

// In the Halide runtime of this process.
extern "C" void upwell_install_kernel_memory() {
    upwell::install_kernel_memory();
}
