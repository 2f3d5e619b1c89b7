// Finds the compiled kernel for a call.
#pragma once

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
