// Whether kernels tuned for the size of a call are used, and which there are.
#include "tuned.h"

#include <tuple>

#include <torch/library.h>

namespace upwell::bridge {

TORCH_LIBRARY_FRAGMENT(upwell, m) {
    m.def("use_tuned(bool on) -> bool", [](bool on) { return use_tuned(on); });
    // Those that calls can take on this machine: symbols, and of each least and most channels, least and most pixels,
    // and samples for threads.
    m.def("tuned_kernels() -> (str[], int[])", [] {
        std::vector<std::string> symbols;
        std::vector<int64_t> sizes;
        for (const TunedKernel &kernel : tuned_kernels()) {
            const auto &[least, most, threads] = kernel.bucket;
            if (kernel.needs == means(kernel.backend).has) {
                symbols.push_back(kernel.symbol);
                sizes.insert(sizes.end(),
                             {least.channels, most.channels, least.pixels, most.pixels, least.samples, threads});
            }
        }
        return std::make_tuple(symbols, sizes);
    });
}

}  // namespace upwell::bridge
