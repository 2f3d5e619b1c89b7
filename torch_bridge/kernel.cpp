// Check, allocate, call.
#include "kernel.h"

#include <algorithm>
#include <sstream>

#include <ATen/ops/empty.h>

#include "in_float.h"

namespace upwell::bridge {

std::string format(c10::SymIntArrayRef sizes) {
    std::ostringstream text;
    text << sizes;
    return text.str();
}

void check_elements(const std::string &op, const std::string &argument, c10::SymIntArrayRef sizes) {
    int64_t most = INT32_MAX;
    for (const c10::SymInt &size : sizes) {
        const std::optional<int64_t> known = size.maybe_as_int();
        if (!known || *known == 0) {
            return;
        }
        TORCH_CHECK(*known <= most, op, ": ", argument, " should have at most 2147483647 elements but is ",
                    format(sizes));
        most /= *known;
    }
}

void check_kind(const std::string &op, const std::string &argument, const Tensor &tensor) {
    TORCH_CHECK(tensor.scalar_type() == at::kFloat || tensor.scalar_type() == at::kDouble || is_16_bit(tensor), op,
                ": ", argument, " should be float32, float64, float16 or bfloat16 but is ", tensor.scalar_type());
    TORCH_CHECK(tensor.is_cpu() || tensor.is_cuda() || tensor.is_meta(), op, ": ", argument,
                " should be on a CPU or a CUDA device but is on ", tensor.device());
    TORCH_CHECK(tensor.layout() == at::kStrided, op, ": ", argument, " should be dense but is ", tensor.layout());
}

Sizes check_map(const std::string &op, const std::string &argument, const Tensor &tensor) {
    check_kind(op, argument, tensor);
    TORCH_CHECK(tensor.dim() == 4, op, ": ", argument, " should have 4 dimensions, N,C,H,W, but is ",
                format(tensor.sym_sizes()));
    for (const int dimension : {2, 3}) {
        TORCH_SYM_CHECK(tensor.sym_size(dimension).sym_ge(1), op, ": ", argument,
                        " should have a height and width of at least 1 but is ", format(tensor.sym_sizes()));
    }
    check_elements(op, argument, tensor.sym_sizes());
    return tensor.sym_sizes().vec();
}

void check_alike(const std::string &op, const std::string &argument, const Tensor &tensor, const std::string &first,
                 const Tensor &like) {
    TORCH_CHECK(tensor.scalar_type() == like.scalar_type(), op, ": ", argument, " should be ", like.scalar_type(),
                " like ", first, " but is ", tensor.scalar_type());
    check_device(op, argument, tensor, first, like);
}

void check_device(const std::string &op, const std::string &argument, const Tensor &tensor, const std::string &first,
                  const Tensor &like) {
    TORCH_CHECK(tensor.device() == like.device(), op, ": ", argument, " should be on ", like.device(), " like ", first,
                " but is on ", tensor.device());
}

void check_sizes(const std::string &op, const std::string &argument, const Sizes &actual, const Sizes &expected) {
    for (size_t i = 0; i < expected.size(); i++) {
        TORCH_SYM_CHECK(actual[i].sym_eq(expected[i]), op, ": ", argument, " should be ", format(expected), " but is ",
                        format(actual));
    }
}

namespace {

Dtype dtype_of(at::ScalarType type) {
    switch (type) {
    case at::kFloat:
        return Dtype::Float32;
    case at::kHalf:
        return Dtype::Float16;
    case at::kBFloat16:
        return Dtype::BFloat16;
    case at::kInt:
        return Dtype::Int32;
    default:
        return Dtype::Float64;
    }
}

}  // namespace

upwell::Tensor view(const Tensor &tensor) {
    return {tensor.data_ptr(), dtype_of(tensor.scalar_type()), tensor.sizes().vec(), tensor.strides().vec()};
}

}  // namespace upwell::bridge
