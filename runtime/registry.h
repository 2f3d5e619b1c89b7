// Finds the compiled kernel for a call.
#pragma once

#include "arguments.h"
#include "window_operators.h"
#include "row.h"
#include "tuned.h"

namespace upwell {

constexpr int few_channels = -1;
// Of a group: with more, lanes over channels are faster; and those up to which weighted pixels side by side are faster
// than a kernel of the integer ratio.
constexpr int64_t most_few_channels = 8, most_weighted_channels = 2;

// The compiled kernels of a window.
class WindowKernels {
public:
    void add(const Row &row);

    // By key.
    const std::vector<Row> &rows() const { return rows_; }
    // Taps per side, ascending.
    const std::vector<int64_t> &sides() const { return sides_; }
    // The one of this exact ratio that is scheduled by hand, or null.
    const Row *find(Direction direction, int64_t kernel, int64_t ratio, Dtype dtype, Backend backend) const;

private:
    std::vector<Row> rows_;
    std::vector<int64_t> sides_;
};

// Of a window by its name; none where it was not compiled. It stays where it is.
const WindowKernels &kernels_of(const std::string &window);

// The rows of all windows.
std::vector<Row> registry();

// The best kernel for a call: its integer ratio's own, the one for few channels, or the general one; of these the
// one tuned for its size, if there is one. Throws Error with what there is.
const Row &choose(const WindowCall &call, Backend backend);

}  // namespace upwell
