// The choice among the compiled kernels of one name: those tuned for some sizes, and the one scheduled by hand.
#pragma once

#include "upwell.h"

namespace upwell {

// A tuned kernel of this build: its symbol, and the calls that it is for.
struct TunedKernel {
    std::string symbol;
    Backend backend;
    InstructionSet needs;
    Bucket bucket;
};

std::vector<TunedKernel> tuned_kernels();

bool contains(const Bucket &bucket, const CallSize &size, int64_t threads);

// The size of the map (..., channels, rows, columns) that is an argument; none where that is no map. The first of four
// dimensions is samples.
std::optional<CallSize> size_of(const std::vector<Argument> &arguments, size_t map);

// What a call may take.
struct Means {
    InstructionSet has;  // Baseline on a GPU: kernels for it need no more of the processor
    bool tuned;
    int64_t threads = 1;  // of the processor; 1 on a GPU
};

Means means(Backend backend);

// Among the rows of a kernel: the one tuned for the size of the call, else the one scheduled by hand; null: none
// that runs. A kernel tuned for fewer instructions than there are is passed over: it was compared with a schedule by
// hand for as few.
template<class Rows, class SizeOf>
auto choose_row(const Rows &rows, const SizeOf &size_of_row, const Means &means) -> decltype(&*std::begin(rows)) {
    decltype(&*std::begin(rows)) by_hand = nullptr;
    for (const auto &row : rows) {
        if (!row.bucket && !by_hand && row.needs <= means.has) {
            by_hand = &row;
        } else if (row.bucket && means.tuned && row.needs == means.has) {
            const std::optional<CallSize> size = size_of_row(row);
            if (size && contains(*row.bucket, *size, means.threads)) {
                return &row;
            }
        }
    }
    return by_hand;
}

}  // namespace upwell
