// Kernels that are called by name with arguments of their own.
#include <deque>

#include "error.h"
#include "tensor.h"
#include "threads.h"

#define UPWELL_KERNEL(NAME, DTYPE, NEEDS, SYMBOL) extern "C" int SYMBOL##_argv(void **);
#include "kernels.inc"
#undef UPWELL_KERNEL

namespace upwell {
namespace {

struct KernelRow {
    const char *name;
    Dtype dtype;
    InstructionSet needs;
    int (*run)(void **arguments);
};

constexpr KernelRow rows[] = {
#define UPWELL_KERNEL(NAME, DTYPE, NEEDS, SYMBOL) {#NAME, Dtype::DTYPE, InstructionSet::NEEDS, SYMBOL##_argv},
#include "kernels.inc"
#undef UPWELL_KERNEL
};

const KernelRow &find_kernel(const std::string &kernel, Dtype dtype) {
    std::string built;
    for (const KernelRow &row : rows) {
        if (kernel == row.name && dtype == row.dtype && row.needs <= instruction_set()) {
            return row;
        }
        built += (built.empty() ? "" : "; ") + std::string(row.name) + ", " + name(row.dtype);
    }
    throw Error(kernel, "",
                std::string("was not built for ") + name(dtype) + " on " + name(instruction_set()) +
                    "; built: " + built);
}

// What the arguments point to, in the form that a kernel of this dtype takes them.
class Pointers {
public:
    Pointers(Call &call, Dtype dtype, const std::vector<Argument> &arguments) : user_context(&call) {
        pointers.push_back(&user_context);
        for (const Argument &argument : arguments) {
            if (const Tensor *tensor = std::get_if<Tensor>(&argument)) {
                pointers.push_back(buffers.emplace_back(*tensor).get());
            } else if (const int64_t *integer = std::get_if<int64_t>(&argument)) {
                pointers.push_back(&integers.emplace_back(static_cast<int32_t>(*integer)));
            } else if (dtype == Dtype::Float32) {
                pointers.push_back(&floats.emplace_back(static_cast<float>(std::get<double>(argument))));
            } else {
                pointers.push_back(&doubles.emplace_back(std::get<double>(argument)));
            }
        }
    }

    void **get() { return pointers.data(); }

private:
    void *user_context;
    std::deque<Buffer> buffers;  // a deque keeps its elements where they are
    std::deque<int32_t> integers;
    std::deque<float> floats;
    std::deque<double> doubles;
    std::vector<void *> pointers;
};

}  // namespace

void run_kernel(const std::string &kernel, Dtype dtype, const std::vector<Argument> &arguments) {
    install_once();
    const KernelRow &row = find_kernel(kernel, dtype);
    Call call(current_pool());
    Pointers pointers(call, dtype, arguments);
    call.finish(kernel, row.run(pointers.get()));
}

}  // namespace upwell
