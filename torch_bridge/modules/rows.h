// A map made a few rows at a time, where making a row takes much more memory than the row itself.
#pragma once

#include <algorithm>
#include <vector>

#include <ATen/core/Tensor.h>
#include <ATen/ops/cat.h>

namespace upwell::nn {

constexpr int64_t most_of_rows = 1 << 24;  // elements that the rows of a chunk may take: 64 MiB in float32

// of_rows: first row and end -> N,C,end - first,W. elements: that making a row takes. While gradients are recorded,
// what every chunk made on the way is kept (LibTorch has no checkpoints; Python's modules compute it again).
template<typename OfRows> at::Tensor in_chunks_of_rows(int64_t count, int64_t elements, OfRows of_rows) {
    const int64_t step = std::max<int64_t>(1, most_of_rows / std::max<int64_t>(1, elements));
    if (step >= count) {
        return of_rows(0, count);
    }
    std::vector<at::Tensor> made;
    for (int64_t first = 0; first < count; first += step) {
        made.push_back(of_rows(first, std::min(first + step, count)));
    }
    return at::cat(made, 2);
}

}  // namespace upwell::nn
