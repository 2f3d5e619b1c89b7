// Pointer, dtype, sizes and strides of a tensor -> what a kernel takes.
#include "tensor.h"

#include <algorithm>

#include "error.h"
#include "views.h"

namespace upwell {
namespace {

constexpr int64_t most_elements = INT32_MAX;  // kernels index with int32

// a * b + c, or the largest integer where that does not fit.
int64_t multiply_add(int64_t a, int64_t b, int64_t c) {
    int64_t result = 0;
    const bool overflows = __builtin_mul_overflow(a, b, &result) || __builtin_add_overflow(result, c, &result);
    return overflows ? INT64_MAX : result;
}

// Strides as given, or those of a contiguous tensor; of dimensions of size 1 always the latter.
std::array<int64_t, 4> map_strides(const Tensor &tensor) {
    std::array<int64_t, 4> strides{};
    int64_t dense = 1;
    for (int i = 3; i >= 0; i--) {
        strides[i] = tensor.strides.empty() || tensor.sizes[i] == 1 ? dense : tensor.strides[i];
        dense = multiply_add(dense, tensor.sizes[i], 0);
    }
    return strides;
}

// Elements from the first to behind the last.
int64_t span_of(const Tensor &tensor) {
    const std::array<int64_t, 4> strides = map_strides(tensor);
    int64_t span = 1;
    for (int i = 0; i < 4; i++) {
        span = multiply_add(tensor.sizes[i] - 1, strides[i], span);
    }
    return span;
}

void check_addressable(const std::string &op, const std::string &argument, const Tensor &tensor) {
    int64_t elements = 1;
    for (int i = 0; i < 4; i++) {
        elements = multiply_add(elements, tensor.sizes[i], 0);
        if (elements > most_elements) {
            throw Error(op, argument, "should have at most 2147483647 elements but is " + format(tensor.sizes));
        }
    }
    if (elements == 0) {
        return;
    }
    const std::array<int64_t, 4> strides = map_strides(tensor);
    for (int i = 0; i < 4; i++) {
        if (strides[i] < 0 || (i == 3 && strides[i] != 1)) {
            throw Error(op, argument,
                        "should have strides that are not negative, the last one 1, but has " + format(tensor.strides));
        }
    }
    if (span_of(tensor) > most_elements) {
        throw Error(op, argument, "should span at most 2147483647 elements but has strides " + format(tensor.strides));
    }
    if (!tensor.data) {
        throw Error(op, argument, "should have data but is a null pointer");
    }
    if (reinterpret_cast<uintptr_t>(tensor.data) % element_size(tensor.dtype) != 0) {
        throw Error(op, argument, "should be aligned to its elements");
    }
}

}  // namespace

const char *name(Dtype dtype) {
    switch (dtype) {
    case Dtype::Float32:
        return "float32";
    case Dtype::Float64:
        return "float64";
    case Dtype::Float16:
        return "float16";
    case Dtype::BFloat16:
        return "bfloat16";
    case Dtype::Int32:
        return "int32";
    }
    return "";
}

int64_t element_size(Dtype dtype) {
    return dtype == Dtype::Float64 ? 8 : dtype == Dtype::Float32 || dtype == Dtype::Int32 ? 4 : 2;
}

Dtype wide(Dtype dtype) {
    return dtype == Dtype::Float16 || dtype == Dtype::BFloat16 ? Dtype::Float32 : dtype;
}

halide_type_t halide_type(Dtype dtype) {
    const halide_type_code_t code = dtype == Dtype::Int32      ? halide_type_int
                                    : element_size(dtype) == 2 ? halide_type_uint  // kernels take their bits
                                                               : halide_type_float;
    return halide_type_t(code, static_cast<uint8_t>(8 * element_size(dtype)));
}

void check_tensor(const std::string &op, const std::string &argument, const Tensor &tensor, Dtype dtype) {
    if (tensor.dtype != dtype) {
        throw Error(op, argument, std::string("should be ") + name(dtype) + " but is " + name(tensor.dtype));
    }
    if (tensor.sizes.size() != 4) {
        throw Error(op, argument, "should have 4 dimensions, N,C,H,W, but is " + format(tensor.sizes));
    }
    if (!tensor.strides.empty() && tensor.strides.size() != 4) {
        throw Error(op, argument, "should have 4 strides but has " + format(tensor.strides));
    }
    const std::vector<int64_t> &sizes = tensor.sizes;
    if (sizes[0] < 0 || sizes[1] < 0 || sizes[2] < 1 || sizes[3] < 1) {
        throw Error(op, argument, "should have a height and width of at least 1 but is " + format(sizes));
    }
    check_addressable(op, argument, tensor);
}

int64_t element_count(const Tensor &tensor) {
    int64_t count = 1;
    for (const int64_t size : tensor.sizes) {
        count *= size;
    }
    return count;
}

bool is_contiguous(const Tensor &tensor) {
    if (tensor.strides.empty() || element_count(tensor) == 0) {
        return true;
    }
    if (tensor.strides.size() != tensor.sizes.size()) {
        return false;
    }
    int64_t dense = 1;
    for (size_t d = tensor.sizes.size(); d-- > 0; dense *= tensor.sizes[d]) {
        if (tensor.sizes[d] != 1 && tensor.strides[d] != dense) {
            return false;
        }
    }
    return true;
}

bool is_splittable(const Tensor &tensor) {
    const std::array<int64_t, 4> strides = map_strides(tensor);
    return tensor.sizes[0] <= 1 || strides[0] == tensor.sizes[1] * strides[1];
}

bool overlap(const Tensor &a, const Tensor &b) {
    if (!a.data || !b.data || element_count(a) == 0 || element_count(b) == 0) {
        return false;
    }
    const auto begin = [](const Tensor &t) { return reinterpret_cast<uintptr_t>(t.data); };
    const auto end = [&](const Tensor &t) {
        int64_t span = 1;
        const std::vector<int64_t> strides = upwell::strides_of(t);
        for (size_t d = 0; d < strides.size(); d++) {
            span = multiply_add(t.sizes[d] - 1, strides[d], span);
        }
        return begin(t) + static_cast<uintptr_t>(span) * element_size(t.dtype);
    };
    return begin(a) < end(b) && begin(b) < end(a);
}

Buffer::Buffer(const Tensor &tensor, int64_t groups) {
    const std::array<int64_t, 4> strides = map_strides(tensor);
    const int64_t channels = tensor.sizes[1] / groups;
    const int64_t group_stride = groups == 1 ? strides[0] : channels * strides[1];
    const auto dimension = [](int64_t extent, int64_t stride) {
        return halide_dimension_t(0, static_cast<int32_t>(extent), static_cast<int32_t>(stride));
    };
    const std::array<halide_dimension_t, 4> four{dimension(tensor.sizes[3], 1), dimension(tensor.sizes[2], strides[2]),
                                                 dimension(channels, strides[1]),
                                                 dimension(tensor.sizes[0] * groups, group_stride)};
    std::copy(four.begin(), four.end(), dimensions.begin());
    buffer.host = static_cast<uint8_t *>(tensor.data);
    buffer.type = halide_type(tensor.dtype);
    buffer.dimensions = 4;
    buffer.dim = dimensions.data();
}

Buffer::Buffer(const Tensor &tensor) {
    const size_t rank = tensor.sizes.size();
    int64_t dense = 1;
    for (size_t i = 0; i < rank; i++) {
        const size_t from = rank - 1 - i;
        // A dimension of size 1 may have any stride, where kernels want the innermost to be 1 and some others to be
        // multiples of a vector.
        const bool is_dense = tensor.strides.empty() || tensor.sizes[from] == 1;
        const int64_t stride = is_dense ? dense : tensor.strides[from];
        dimensions[i] =
            halide_dimension_t(0, static_cast<int32_t>(tensor.sizes[from]), static_cast<int32_t>(stride));
        dense *= tensor.sizes[from];
    }
    buffer.host = static_cast<uint8_t *>(tensor.data);
    buffer.type = halide_type(tensor.dtype);
    buffer.dimensions = static_cast<int32_t>(rank);
    buffer.dim = dimensions.data();
}

Buffer::Buffer(void *data, halide_type_t type, const std::vector<int64_t> &extents, int64_t min) {
    int64_t stride = 1;
    for (size_t i = 0; i < extents.size(); i++) {
        dimensions[i] = halide_dimension_t(i == 0 ? static_cast<int32_t>(min) : 0, static_cast<int32_t>(extents[i]),
                                           static_cast<int32_t>(stride));
        stride *= extents[i];
    }
    buffer.host = static_cast<uint8_t *>(data);
    buffer.type = type;
    buffer.dimensions = static_cast<int32_t>(extents.size());
    buffer.dim = dimensions.data();
}

}  // namespace upwell
