// What compiling kernels for CUDA devices has cost the process.
#include <tuple>

#include <torch/library.h>

#include "upwell.h"

namespace upwell::bridge {

TORCH_LIBRARY_FRAGMENT(upwell, m) {
    m.def("compile_cost() -> (int, float)", [] {
        const CompileCost cost = compile_cost();
        return std::make_tuple(cost.modules, cost.seconds);
    });
}

}  // namespace upwell::bridge
