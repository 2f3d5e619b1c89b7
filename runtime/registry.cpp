// The table of compiled kernels, and the choice among them. Its rows are written by variants.cmake.
#include "registry.h"

#include <algorithm>
#include <map>
#include <mutex>
#include <utility>

#include "language/description.h"
#include "remedy.h"
#include "rows.h"

#define UPWELL_VARIANT(GENERATOR, DIRECTION, KERNEL, RATIO, DTYPE, BACKEND, NEEDS, SYMBOL, BUCKET)                     \
    extern "C" int SYMBOL##_argv(void **);
#include "variants.inc"
#undef UPWELL_VARIANT

namespace upwell {
namespace {

std::string list_of(const WindowKernels &kernels, Direction direction, Backend backend) {
    std::string list;
    for (const Row &row : kernels.rows()) {
        if (!row.bucket && row.direction == direction && row.backend == backend) {
            list += (list.empty() ? "" : "; ") + std::string("kernel ") + std::to_string(row.kernel) + ", " +
                    (row.ratio == 0              ? "any size"
                     : row.ratio == few_channels ? "any size, few channels"
                                                 : "ratio " + std::to_string(row.ratio)) +
                    ", " + name(row.dtype);
        }
    }
    return list.empty() ? "nothing" : list;
}

// r where the high-res size is r times the low-res one on both axes and mask and positions follow it, else 0.
int64_t integer_ratio(const WindowCall &p) {
    const int64_t ratio = p.H / p.h;
    const bool exact = ratio > 0 && p.H == ratio * p.h && p.W == ratio * p.w && p.scale() == std::array<double, 2>{};
    return exact && (p.parameters.mask_ratio == 0 || p.parameters.mask_ratio == ratio) ? ratio : 0;
}

struct Registry {
    std::mutex mutex;
    std::map<std::string, WindowKernels> windows;
    std::vector<std::string> refused;

    void add(const std::vector<Row> &rows) {
        for (const Row &row : rows) {
            windows[row.window].add(row);
        }
    }

    // All of them or none: another window of the same name would be another operator's.
    bool add_library(const std::vector<Row> &rows) {
        const std::lock_guard lock(mutex);
        for (const Row &row : rows) {
            if (const auto found = windows.find(row.window); found != windows.end() && !found->second.rows().empty()) {
                refused.push_back(std::string(row.window) + ": there are kernels of this name already");
                return false;
            }
        }
        add(rows);
        return true;
    }
};

Registry &all_kernels() {
    static Registry &all = []() -> Registry & {
        Registry &own = *new Registry;  // threads may outlive the end of main()
        own.add({
#define UPWELL_VARIANT(WINDOW, DIRECTION, KERNEL, RATIO, DTYPE, BACKEND, NEEDS, SYMBOL, BUCKET)                        \
    {#WINDOW,          Direction::DIRECTION,  KERNEL, RATIO,   Dtype::DTYPE,                                           \
     Backend::BACKEND, InstructionSet::NEEDS, BUCKET, #SYMBOL, SYMBOL##_argv},
#include "variants.inc"
#undef UPWELL_VARIANT
        });
        return own;
    }();
    return all;
}

}  // namespace

void WindowKernels::add(const Row &row) {
    const auto before = [](const Row &a, const Row &b) { return a.key() < b.key(); };
    rows_.insert(std::upper_bound(rows_.begin(), rows_.end(), row, before), row);
    const auto at = std::lower_bound(sides_.begin(), sides_.end(), row.kernel);
    if (at == sides_.end() || *at != row.kernel) {
        sides_.insert(at, row.kernel);
    }
}

const Row *WindowKernels::find(Direction direction, int64_t kernel, int64_t ratio, Dtype dtype, Backend backend) const {
    for (const Row &row : rows_with(rows_, Row::Key{direction, kernel, ratio, dtype, backend})) {
        if (!row.bucket) {
            return &row;
        }
    }
    return nullptr;
}

const WindowKernels &kernels_of(const std::string &window) {
    Registry &all = all_kernels();
    const std::lock_guard lock(all.mutex);
    return all.windows[window];
}

bool add_rows(const std::vector<Row> &rows) {
    return all_kernels().add_library(rows);
}

std::vector<std::string> take_refused_rows() {
    Registry &all = all_kernels();
    const std::lock_guard lock(all.mutex);
    return std::exchange(all.refused, {});
}

std::vector<Row> registry() {
    Registry &all = all_kernels();
    const std::lock_guard lock(all.mutex);
    std::vector<Row> list;
    for (const auto &[window, kernels] : all.windows) {
        list.insert(list.end(), kernels.rows().begin(), kernels.rows().end());
    }
    return list;
}

const Row &choose(const WindowCall &call, Backend backend) {
    const WindowOperator &op = *call.op;
    const int64_t exact = integer_ratio(call), general = 0;
    // To the same size an interpolation is a copy, also of what is not finite.
    static const WindowKernels &copies = kernels_of("nearest");
    const bool is_copy = exact == 1 && !op.has_weights() && op.sampling().interpolates() &&
                         copies.find(op.direction, 1, 0, call.dtype, backend);
    const WindowKernels &kernels = is_copy ? copies : *op.choices[call.parameters.border].kernels;
    const CallSize size{call.C, call.h * call.w, call.N};
    const auto has_at_most = [&](int64_t channels) { return call.C <= channels * call.parameters.groups; };
    const int64_t narrow = has_at_most(most_few_channels) ? few_channels : general;
    const bool is_first = !exact || !op.has_weights() || has_at_most(most_weighted_channels);
    for (const int64_t ratio : {is_first ? narrow : exact, is_first ? exact : narrow, general}) {
        const auto rows =
            rows_with(kernels.rows(), Row::Key{op.direction, call.parameters.kernel, ratio, call.dtype, backend});
        const auto size_of_row = [&](const Row &) { return size; };
        if (const Row *row = choose_row(rows, size_of_row, means(backend))) {
            return *row;
        }
    }
    throw Error(op.name, "",
                "nothing was compiled for kernel " + std::to_string(call.parameters.kernel) + ", " +
                    std::to_string(call.h) + " x " + std::to_string(call.w) + " to " + std::to_string(call.H) + " x " +
                    std::to_string(call.W) + ", " + name(call.dtype) + ", on " +
                    (backend == Backend::Cpu ? name(instruction_set()) : name(backend)) +
                    "; compiled: " + list_of(kernels, op.direction, backend) + "; " + other_kernels);
}

std::vector<Variant> variants() {
    std::vector<Variant> list;
    for (const Row &row : registry()) {
        list.push_back({generator_name(row.window, row.direction), row.kernel, row.ratio, row.dtype, row.backend,
                        row.needs, row.bucket});
    }
    return list;
}

std::vector<int64_t> kernels(const std::string &operator_name) {
    return sides_of(find_result(operator_name));
}

}  // namespace upwell
