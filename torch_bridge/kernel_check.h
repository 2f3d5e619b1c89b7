// What modules and composed operators check of their taps per side.
#pragma once

#include <algorithm>
#include <vector>

#include <c10/util/Exception.h>

#include "runtime/remedy.h"

namespace upwell::bridge {

// value, an argument of `name`, should be one of the taps per side that there are kernels of.
inline void check_kernel(const char *name, const char *argument, int64_t value, const std::vector<int64_t> &compiled) {
    TORCH_CHECK(std::find(compiled.begin(), compiled.end(), value) != compiled.end(), name, ": ", argument,
                " should be one of ", compiled, " (those that were compiled; ", other_kernels, ") but is ", value);
}

}  // namespace upwell::bridge
