// What the lowering makes of an operator's taps.
#include <tuple>

#include <torch/library.h>

#include "runtime/operators.h"

namespace upwell::bridge {

TORCH_LIBRARY_FRAGMENT(upwell, m) {
    // On an axis: low-res cells that one tap reads, and those of the window.
    m.def("window(str operator, int kernel) -> (int, int)", [](const std::string &name, int64_t kernel) {
        TORCH_CHECK(kernel >= 1 && kernel % 2 == 1 && kernel < INT32_MAX / 2,
                    "window: kernel should be odd and positive but is ", kernel);
        const Family &family = *find_operator(name).family;
        const int64_t size = lower({static_cast<int>(kernel), family.grid, family.sampling, family.border}).size;
        return std::make_tuple(size - kernel + 1, size);
    });
}

}  // namespace upwell::bridge
