// The table of compiled kernels, and the choice among them. Its rows are written by variants.cmake.
#include "registry.h"

#include <algorithm>
#include <map>
#include <set>
#include <string_view>

#include "rows.h"

#define UPWELL_VARIANT(GENERATOR, DIRECTION, KERNEL, RATIO, DTYPE, BACKEND, NEEDS, SYMBOL, BUCKET)                     \
    extern "C" int SYMBOL##_argv(void **);
#include "variants.inc"
#undef UPWELL_VARIANT

namespace upwell {
namespace {

// The operator's name in run(); carafe_masked stands for carafe with Border::Masked.
std::string public_name(const Row &row) {
    const std::string generator = row.generator;
    const std::string masked = "_masked";
    const bool is_masked = generator.size() > masked.size() &&
                           generator.compare(generator.size() - masked.size(), masked.size(), masked) == 0;
    const std::string plain = is_masked ? generator.substr(0, generator.size() - masked.size()) : generator;
    for (const Operator &op : operators()) {
        if (op.direction == row.direction && plain == op.family->generator) {
            return op.family->name + (is_masked ? masked : "") + op.name.substr(std::string(op.family->name).size());
        }
    }
    return generator;
}

std::string list_of(const std::string &generator, Direction direction, Backend backend) {
    std::string list;
    for (const Row &row : registry()) {
        if (!row.bucket && row.generator == generator && row.direction == direction && row.backend == backend) {
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
int64_t integer_ratio(const Problem &p) {
    const int64_t ratio = p.H / p.h;
    const bool exact = ratio > 0 && p.H == ratio * p.h && p.W == ratio * p.w && p.scale() == std::array<double, 2>{};
    return exact && (p.parameters.mask_ratio == 0 || p.parameters.mask_ratio == ratio) ? ratio : 0;
}

}  // namespace

const std::vector<Row> &registry() {
    static const std::vector<Row> rows = sorted_by_key<Row>({
#define UPWELL_VARIANT(GENERATOR, DIRECTION, KERNEL, RATIO, DTYPE, BACKEND, NEEDS, SYMBOL, BUCKET)                     \
    {#GENERATOR,       Direction::DIRECTION,  KERNEL, RATIO,   Dtype::DTYPE,                                           \
     Backend::BACKEND, InstructionSet::NEEDS, BUCKET, #SYMBOL, SYMBOL##_argv},
#include "variants.inc"
#undef UPWELL_VARIANT
    });
    return rows;
}

const Row *find(const std::string &generator, Direction direction, int64_t kernel, int64_t ratio, Dtype dtype,
                Backend backend) {
    for (const Row &row : rows_with(registry(), Row::Key{generator, direction, kernel, ratio, dtype, backend})) {
        if (!row.bucket) {
            return &row;
        }
    }
    return nullptr;
}

std::string generator_of(const Problem &problem) {
    return std::string(problem.op.family->generator) + (problem.parameters.border == Border::Masked ? "_masked" : "");
}

const Row &choose(const Problem &problem, Backend backend) {
    // To the same size bilinear interpolation is a copy, also of what is not finite.
    const bool copies = problem.op.family->generator == std::string("bilinear") && integer_ratio(problem) == 1;
    const bool has_copy = copies && find("nearest", problem.op.direction, 1, 0, problem.dtype, backend);
    const std::string generator = has_copy ? "nearest" : generator_of(problem);
    const CallSize size{problem.C, problem.h * problem.w, problem.N};
    const int64_t exact = integer_ratio(problem), general = 0;
    const auto has_at_most = [&](int64_t channels) { return problem.C <= channels * problem.parameters.groups; };
    const int64_t narrow = has_at_most(most_few_channels) ? few_channels : general;
    const bool is_first = !exact || !problem.op.family->weights || has_at_most(most_weighted_channels);
    for (const int64_t ratio : {is_first ? narrow : exact, is_first ? exact : narrow, general}) {
        const Row::Key key{generator, problem.op.direction, problem.parameters.kernel, ratio, problem.dtype, backend};
        const auto rows = rows_with(registry(), key);
        const auto size_of_row = [&](const Row &) { return size; };
        if (const Row *row = choose_row(rows, size_of_row, means(backend))) {
            return *row;
        }
    }
    throw Error(problem.op.name, "",
                "no kernel was built for kernel " + std::to_string(problem.parameters.kernel) + ", " +
                    std::to_string(problem.h) + " x " + std::to_string(problem.w) + " to " + std::to_string(problem.H) +
                    " x " + std::to_string(problem.W) + ", " + name(problem.dtype) + ", on " +
                    (backend == Backend::Cpu ? name(instruction_set()) : name(backend)) +
                    "; built: " + list_of(generator, problem.op.direction, backend));
}

std::vector<Variant> variants() {
    std::vector<Variant> list;
    for (const Row &row : registry()) {
        list.push_back({public_name(row), row.kernel, row.ratio, row.dtype, row.backend, row.needs, row.bucket});
    }
    return list;
}

std::vector<int64_t> kernels(const std::string &operator_name) {
    static const auto kernels_of = [] {
        std::map<std::string_view, std::set<int64_t>> all;
        for (const Row &row : registry()) {
            all[row.generator].insert(row.kernel);
        }
        return all;
    }();
    const auto found = kernels_of.find(find_operator(operator_name).family->generator);
    return found == kernels_of.end() ? std::vector<int64_t>{}
                                     : std::vector<int64_t>(found->second.begin(), found->second.end());
}

}  // namespace upwell
