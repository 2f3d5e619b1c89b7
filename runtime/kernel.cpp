// Kernels that are called by name with arguments of their own.
#include "arguments.h"

#define UPWELL_KERNEL(NAME, DTYPE, BACKEND, NEEDS, SYMBOL) extern "C" int SYMBOL##_argv(void **);
#include "kernels.inc"
#undef UPWELL_KERNEL

namespace upwell {
namespace {

struct KernelRow {
    const char *name;
    Dtype dtype;
    Backend backend;
    InstructionSet needs;
    Kernel run;
};

constexpr KernelRow rows[] = {
#define UPWELL_KERNEL(NAME, DTYPE, BACKEND, NEEDS, SYMBOL)                                                             \
    {#NAME, Dtype::DTYPE, Backend::BACKEND, InstructionSet::NEEDS, SYMBOL##_argv},
#include "kernels.inc"
#undef UPWELL_KERNEL
};

const KernelRow &find_kernel(const std::string &kernel, Dtype dtype, Backend backend) {
    std::string built;
    for (const KernelRow &row : rows) {
        if (kernel == row.name && dtype == row.dtype && backend == row.backend && row.needs <= instruction_set()) {
            return row;
        }
        if (backend == row.backend) {
            built += (built.empty() ? "" : "; ") + std::string(row.name) + ", " + name(row.dtype);
        }
    }
    const std::string on = backend == Backend::Cpu ? name(instruction_set()) : name(backend);
    throw Error(kernel, "", std::string("was not built for ") + name(dtype) + " on " + on + "; built: " + built);
}

}  // namespace

void run_kernel(const std::string &kernel, Dtype dtype, const std::vector<Argument> &arguments, const Queue *queue) {
    install_once();
    const KernelRow &row = find_kernel(kernel, dtype, backend(queue != nullptr));
    Arguments list(kernel, dtype, queue);
    for (const Argument &argument : arguments) {
        std::visit([&](const auto &value) { list.add(value); }, argument);
    }
    list.run(row.run);
}

}  // namespace upwell
