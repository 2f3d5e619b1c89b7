// Kernels that are called by name with arguments of their own.
#include <string_view>
#include <tuple>

#include "arguments.h"
#include "registry.h"
#include "rows.h"

#define UPWELL_KERNEL(NAME, MAP, DTYPE, BACKEND, NEEDS, SYMBOL, BUCKET) extern "C" int SYMBOL##_argv(void **);
#include "kernels.inc"
#undef UPWELL_KERNEL

namespace upwell {
namespace {

struct KernelRow {
    const char *name;
    size_t map;  // the argument that gives the size of a call
    Dtype dtype;
    Backend backend;
    InstructionSet needs;
    std::optional<Bucket> bucket;
    const char *symbol;
    Kernel run;

    using Key = std::tuple<std::string_view, Dtype, Backend>;
    Key key() const { return {name, dtype, backend}; }
};

const std::vector<KernelRow> &kernel_rows() {
    static const std::vector<KernelRow> rows = sorted_by_key<KernelRow>({
#define UPWELL_KERNEL(NAME, MAP, DTYPE, BACKEND, NEEDS, SYMBOL, BUCKET)                                                \
    {#NAME, MAP, Dtype::DTYPE, Backend::BACKEND, InstructionSet::NEEDS, BUCKET, #SYMBOL, SYMBOL##_argv},
#include "kernels.inc"
#undef UPWELL_KERNEL
    });
    return rows;
}

[[noreturn]] void refuse_kernel(const std::string &kernel, Dtype dtype, Backend backend) {
    std::string built;
    for (const KernelRow &row : kernel_rows()) {
        if (!row.bucket && backend == row.backend) {
            built += (built.empty() ? "" : "; ") + std::string(row.name) + ", " + name(row.dtype);
        }
    }
    const std::string on = backend == Backend::Cpu ? name(instruction_set()) : name(backend);
    throw Error(kernel, "", std::string("was not built for ") + name(dtype) + " on " + on + "; built: " + built);
}

const KernelRow &find_kernel(const std::string &kernel, Dtype dtype, Backend backend,
                             const std::vector<Argument> &arguments) {
    const auto rows = rows_with(kernel_rows(), KernelRow::Key{kernel, dtype, backend});
    const auto size_of_row = [&](const KernelRow &row) { return size_of(arguments, row.map); };
    if (const KernelRow *row = choose_row(rows, size_of_row, means(backend))) {
        return *row;
    }
    refuse_kernel(kernel, dtype, backend);
}

template<class Rows> void add_tuned(std::vector<TunedKernel> &list, const Rows &rows) {
    for (const auto &row : rows) {
        if (row.bucket) {
            list.push_back({row.symbol, row.backend, row.needs, *row.bucket});
        }
    }
}

}  // namespace

std::vector<TunedKernel> tuned_kernels() {
    std::vector<TunedKernel> list;
    add_tuned(list, registry());
    add_tuned(list, kernel_rows());
    return list;
}

void run_kernel(const std::string &kernel, Dtype dtype, const std::vector<Argument> &arguments, const Queue *queue) {
    install_once();
    const KernelRow &row = find_kernel(kernel, dtype, backend(queue != nullptr), arguments);
    Arguments list(kernel, dtype, queue);
    for (const Argument &argument : arguments) {
        std::visit([&](const auto &value) { list.add(value); }, argument);
    }
    list.run(row.symbol, row.run);
}

}  // namespace upwell
