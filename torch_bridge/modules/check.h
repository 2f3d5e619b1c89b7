// What the modules check before they compute; every message names module, argument, expected and actual.
#pragma once

#include <ATen/core/Tensor.h>

namespace upwell::nn {

inline void check_odd(const char *module, const char *argument, int64_t value) {
    TORCH_CHECK(value > 0 && value % 2 == 1, module, ": ", argument, " should be odd and positive but is ", value);
}

inline void check_divides(const char *module, const char *argument, int64_t value, const char *dividend_name,
                          int64_t dividend) {
    TORCH_CHECK(value > 0 && dividend % value == 0, module, ": ", argument, " should divide ", dividend_name, " ",
                dividend, " but is ", value);
}

// x should be N,channels,H,W with H and W at least 1.
inline void check_map(const char *module, const char *argument, const at::Tensor &x, int64_t channels) {
    TORCH_CHECK(x.dim() == 4 && x.size(1) == channels && x.size(2) > 0 && x.size(3) > 0, module, ": ", argument,
                " should be [N, ", channels, ", H >= 1, W >= 1] but is ", x.sizes());
}

}  // namespace upwell::nn
