// Finds the compiled kernel for a call.
#pragma once

#include <string_view>
#include <tuple>

#include "arguments.h"
#include "operators.h"
#include "tuned.h"

namespace upwell {

constexpr int few_channels = -1;
// Of a group: with more, lanes over channels are faster; and those up to which weighted pixels side by side are faster
// than a kernel of the integer ratio.
constexpr int64_t most_few_channels = 8, most_weighted_channels = 2;

struct Row {
    const char *generator;
    Direction direction;
    int kernel;
    int ratio;  // 0: any size; few_channels: any size, for maps of at most most_few_channels
    Dtype dtype;
    Backend backend;
    InstructionSet needs;
    std::optional<Bucket> bucket;
    const char *symbol;
    Kernel run;

    // What the rows of one kernel have in common: they differ in what they need of a processor and in what they were
    // tuned for.
    using Key = std::tuple<std::string_view, Direction, int64_t, int64_t, Dtype, Backend>;
    Key key() const { return {generator, direction, kernel, ratio, dtype, backend}; }
};

const std::vector<Row> &registry();

// The kernel of this exact ratio that is scheduled by hand, or null.
const Row *find(const std::string &generator, Direction direction, int64_t kernel, int64_t ratio, Dtype dtype,
                Backend backend);

// The best kernel for a problem: its integer ratio's own, the one for few channels, or the general one; of these the
// one tuned for its size, if there is one. Throws Error with what there is.
const Row &choose(const Problem &problem, Backend backend);

std::string generator_of(const Problem &problem);

}  // namespace upwell
