// Kernels on torch's threads.
#include "torch_threads.h"

#include <ATen/Parallel.h>

#include "upwell.h"

namespace upwell::bridge {

void run_on_torch_threads() {
    static const bool once = [] {
        set_parallel_for([](int64_t begin, int64_t end, const Body &body) { at::parallel_for(begin, end, 1, body); },
                         [] { return int64_t(at::get_num_threads()); });
        return true;
    }();
    (void)once;
}

}  // namespace upwell::bridge
