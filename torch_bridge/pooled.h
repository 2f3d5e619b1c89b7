// Tensors in memory that calls hand on to each other, for what a forward pass keeps for a backward one: a page that a
// process touches for the first time costs more than what is written there.
#pragma once

#include <memory>

#include <ATen/core/Tensor.h>
#include <ATen/ops/from_blob.h>

#include "runtime/pool.h"

namespace upwell::bridge {

// On a CPU, contiguous, not cleared.
inline at::Tensor pooled(at::IntArrayRef sizes, const at::TensorOptions &options) {
    constexpr size_t alignment = 64;  // torch's own
    const size_t bytes = c10::multiply_integers(sizes) * options.dtype().itemsize();
    const auto block = std::make_shared<PoolBlock>(Pool::shared().take(bytes + alignment));
    void *start = block->memory.get();
    size_t space = block->size;
    std::align(alignment, bytes, start, space);
    return at::from_blob(
        start, sizes, [block](void *) { Pool::shared().give_back(std::move(*block)); }, options);
}

}  // namespace upwell::bridge
