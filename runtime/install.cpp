// What a process needs before its first call.
#include <mutex>

#include "device.h"
#include "error.h"
#include "instruction_set.h"
#include "kernel_memory.h"
#include "threads.h"

namespace upwell {

void install_once() {
    static std::once_flag once;
    std::call_once(once, [] {
        install_error_handler();
        install_instruction_set();
        install_kernel_memory();
        install_parallel_for();
        install_device();
    });
}

}  // namespace upwell
