// Finds the compiled kernel for a call.
#pragma once

#include "operators.h"

namespace upwell {

using Kernel = int (*)(void **arguments);

struct Row {
    const char *generator;
    Direction direction;
    int kernel;
    int ratio;  // 0: any size
    Dtype dtype;
    InstructionSet needs;
    Kernel run;
};

const std::vector<Row> &registry();

// The kernel of this exact ratio, or null.
const Row *find(const std::string &generator, Direction direction, int64_t kernel, int64_t ratio, Dtype dtype);

// The best kernel for a problem: its integer ratio's own, or the general one. Throws Error with what there is.
const Row &choose(const Problem &problem);

std::string generator_of(const Problem &problem);

}  // namespace upwell
