// Kernels that are called by name with arguments of their own.
#include <span>
#include <string_view>
#include <tuple>

#include "arguments.h"
#include "named.h"
#include "registry.h"
#include "rows.h"

#define UPWELL_KERNEL(NAME, MAP, DTYPE, BACKEND, NEEDS, SYMBOL, BUCKET)                                                \
    extern "C" int SYMBOL##_argv(void **);                                                                             \
    extern "C" const halide_filter_metadata_t *SYMBOL##_metadata();
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
    CompiledKernel run;
    const halide_filter_metadata_t *(*describe)();  // what the compiled kernel says of its arguments

    using Key = std::tuple<std::string_view, Dtype, Backend>;
    Key key() const { return {name, dtype, backend}; }
};

const std::vector<KernelRow> &kernel_rows() {
    static const std::vector<KernelRow> rows = sorted_by_key<KernelRow>({
#define UPWELL_KERNEL(NAME, MAP, DTYPE, BACKEND, NEEDS, SYMBOL, BUCKET)                                                \
    {#NAME,  MAP,     Dtype::DTYPE,  Backend::BACKEND, InstructionSet::NEEDS,                                          \
     BUCKET, #SYMBOL, SYMBOL##_argv, SYMBOL##_metadata},
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

const char *kind_of(const Argument &argument) {
    return std::holds_alternative<Tensor>(argument)    ? "a tensor"
           : std::holds_alternative<int64_t>(argument) ? "an integer"
                                                       : "a real number";
}

// Halide checks sizes and types; it takes it for granted that there are as many arguments as there should be, and
// buffers where they should be.
void check_arguments(const KernelRow &row, const std::vector<Argument> &arguments) {
    const halide_filter_metadata_t &own = *row.describe();
    const std::span expected(own.arguments + 1, own.num_arguments - 1);  // behind the user context
    if (arguments.size() != expected.size()) {
        std::string names;
        for (const halide_filter_argument_t &argument : expected) {
            names += (names.empty() ? "" : ", ") + std::string(argument.name);
        }
        throw Error(row.name, "arguments",
                    "should be " + std::to_string(expected.size()) + " (" + names + ") but are " +
                        std::to_string(arguments.size()));
    }
    for (size_t i = 0; i < expected.size(); i++) {
        const halide_filter_argument_t &argument = expected[i];
        const char *const wanted = argument.kind != halide_argument_kind_input_scalar ? "a tensor"
                                   : argument.type.code == halide_type_float          ? "a real number"
                                                                                      : "an integer";
        if (kind_of(arguments[i]) != std::string_view(wanted)) {
            throw Error(row.name, argument.name,
                        std::string("should be ") + wanted + " but is " + kind_of(arguments[i]));
        }
    }
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

void run_kernel(const std::string &kernel, Dtype dtype, const std::vector<NamedArgument> &arguments,
                const Queue *queue) {
    const auto rows = rows_with(kernel_rows(), KernelRow::Key{kernel, dtype, backend(queue != nullptr)});
    if (rows.empty()) {
        refuse_kernel(kernel, dtype, backend(queue != nullptr));
    }
    // All rows of a kernel take the same.
    const halide_filter_metadata_t &own = *rows.front().describe();
    Named named(kernel, arguments);
    std::vector<Argument> in_order;
    for (const halide_filter_argument_t &argument : std::span(own.arguments + 1, own.num_arguments - 1)) {
        if (argument.kind != halide_argument_kind_input_scalar) {
            in_order.emplace_back(named.tensor(argument.name));
        } else if (argument.type.code == halide_type_float) {
            in_order.emplace_back(named.real(argument.name));
        } else {
            in_order.emplace_back(named.integer(argument.name));
        }
    }
    named.finish();
    run_kernel(kernel, dtype, in_order, queue);
}

void run_kernel(const std::string &kernel, Dtype dtype, const std::vector<Argument> &arguments, const Queue *queue) {
    install_once();
    const KernelRow &row = find_kernel(kernel, dtype, backend(queue != nullptr), arguments);
    check_arguments(row, arguments);
    Arguments list(kernel, dtype, queue);
    for (const Argument &argument : arguments) {
        std::visit([&](const auto &value) { list.add(value); }, argument);
    }
    list.run(row.symbol, row.run);
}

}  // namespace upwell
