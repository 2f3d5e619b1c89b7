// What the modules check before they compute; every message names module, argument, expected and actual.
#pragma once

#include <algorithm>
#include <initializer_list>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "../kernel_check.h"
#include "upwell.h"

namespace upwell::nn {

using bridge::check_kernel;

inline void check_least(const char *module, const char *argument, int64_t value, int64_t least) {
    TORCH_CHECK(value >= least, module, ": ", argument, " should be an integer >= ", least, " but is ", value);
}

inline void check_odd(const char *module, const char *argument, int64_t value) {
    TORCH_CHECK(value > 0 && value % 2 == 1, module, ": ", argument, " should be odd and positive but is ", value);
}

inline void check_divides(const char *module, const char *argument, int64_t value, const char *dividend_name,
                          int64_t dividend) {
    TORCH_CHECK(value > 0 && dividend % value == 0, module, ": ", argument, " should divide ", dividend_name, " ",
                dividend, " but is ", value);
}

inline void check_choice(const char *module, const char *argument, const std::string &value,
                         std::initializer_list<const char *> known) {
    TORCH_CHECK(std::find(known.begin(), known.end(), value) != known.end(), module, ": ", argument,
                " should be one of ", std::vector<std::string>(known.begin(), known.end()), " but is '", value, "'");
}

// x should be a tensor of floating-point numbers.
inline void check_numbers(const char *module, const char *argument, const at::Tensor &x) {
    TORCH_CHECK(x.defined(), module, ": ", argument, " should be a tensor but is undefined");
    TORCH_CHECK(x.is_floating_point(), module, ": ", argument, " should have a floating-point dtype but has ",
                x.scalar_type());
}

// x should be N,channels,H,W with H and W at least 1.
inline void check_map(const char *module, const char *argument, const at::Tensor &x, int64_t channels) {
    check_numbers(module, argument, x);
    TORCH_CHECK(x.dim() == 4 && x.size(1) == channels && x.size(2) > 0 && x.size(3) > 0, module, ": ", argument,
                " should be [N, ", channels, ", H >= 1, W >= 1] but is ", x.sizes());
}

// x should be N,C,H,W with C, H and W at least 1.
inline void check_any_map(const char *module, const char *argument, const at::Tensor &x) {
    check_numbers(module, argument, x);
    TORCH_CHECK(x.dim() == 4 && x.size(1) > 0 && x.size(2) > 0 && x.size(3) > 0, module, ": ", argument,
                " should be [N, C >= 1, H >= 1, W >= 1] but is ", x.sizes());
}

// x N,C,H,W should be large enough for the reflected border of a kernel.
inline void check_reflects(const char *module, const char *argument, const at::Tensor &x, int64_t kernel) {
    const int64_t least = kernel / 2 + 1;
    TORCH_CHECK(x.size(2) >= least && x.size(3) >= least, module, ": ", argument, " should be [N, C, H >= ", least,
                ", W >= ", least, "], for its reflected border, but is ", x.sizes());
}

inline void check_size(const char *module, const char *argument, at::IntArrayRef size) {
    TORCH_CHECK(size.size() == 2 && size[0] >= 1 && size[1] >= 1, module, ": ", argument,
                " should be (H >= 1, W >= 1) but is ", size);
}

inline void check_same_batch(const char *module, const char *first_name, const at::Tensor &first,
                             const char *second_name, const at::Tensor &second) {
    TORCH_CHECK(first.size(0) == second.size(0), module, ": ", first_name, " and ", second_name,
                " should have the same batch size but are ", first.sizes(), " and ", second.sizes());
}

// high, the argument, should have ratio times the rows and columns of low.
inline void check_multiple(const char *module, const char *argument, const at::Tensor &high, const at::Tensor &low,
                           int64_t ratio) {
    const int64_t H = ratio * low.size(2), W = ratio * low.size(3);
    TORCH_CHECK(high.size(2) == H && high.size(3) == W, module, ": ", argument, " should be [N, C, ", H, ", ", W,
                "] but is ", high.sizes());
}

}  // namespace upwell::nn
