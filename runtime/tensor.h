// Pointer, dtype, sizes and strides of a tensor -> what a kernel takes.
#pragma once

#include <array>

#include <HalideRuntime.h>

#include "upwell.h"

namespace upwell {

// Throws Error unless the tensor is one that kernels can address.
void check_tensor(const std::string &op, const std::string &argument, const Tensor &tensor, Dtype dtype);

int64_t element_count(const Tensor &tensor);
// Where a dimension has one element its stride may be any.
bool is_contiguous(const Tensor &tensor);
bool is_splittable(const Tensor &tensor);  // of N,C,H,W: channels of consecutive images follow each other
bool overlap(const Tensor &a, const Tensor &b);

// A halide_buffer_t with the dimensions it points to. Not copyable: it points into itself.
class Buffer {
public:
    // N,G*C,H,W as a buffer of W, H, C, N*G.
    Buffer(const Tensor &tensor, int64_t groups);
    // Any tensor of up to 8 dimensions, as many, innermost first.
    explicit Buffer(const Tensor &tensor);
    // A dense table of extents[0] x extents[1] x ..., its first dimension from `min` on.
    Buffer(void *data, halide_type_t type, const std::vector<int64_t> &extents, int64_t min = 0);
    Buffer(const Buffer &) = delete;
    Buffer &operator=(const Buffer &) = delete;

    halide_buffer_t *get() { return &buffer; }

private:
    std::array<halide_dimension_t, 8> dimensions{};
    halide_buffer_t buffer{};
};

halide_type_t halide_type(Dtype dtype);
int64_t element_size(Dtype dtype);

}  // namespace upwell
