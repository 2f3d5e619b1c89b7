// A compiled kernel of a window, as a table of them has it.
#pragma once

#include <tuple>

#include "language/window.h"
#include "runtime/upwell.h"

namespace upwell {

using CompiledKernel = int (*)(void **arguments);

struct Row {
    const char *window;
    Direction direction;
    int kernel;  // taps per side
    int ratio;  // 0: any size; few_channels: any size, for maps of at most most_few_channels
    Dtype dtype;
    Backend backend;
    InstructionSet needs;
    std::optional<Bucket> bucket;
    const char *symbol;
    CompiledKernel run;

    // What the rows of one kernel have in common: they differ in what they need of a processor and in what they were
    // tuned for.
    using Key = std::tuple<Direction, int64_t, int64_t, Dtype, Backend>;
    Key key() const { return {direction, kernel, ratio, dtype, backend}; }
};

// The compiled kernels of a library from elsewhere, added while it is loaded. False, and none is added, if there are
// some of these windows already.
bool add_rows(const std::vector<Row> &rows);

}  // namespace upwell
