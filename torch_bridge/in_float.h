// 16-bit tensors for operators that compute in float32: converted before and after.
#pragma once

#include <algorithm>
#include <optional>
#include <tuple>
#include <type_traits>
#include <vector>

#include <ATen/core/Tensor.h>

namespace upwell::bridge {

inline bool is_16_bit(const at::Tensor &tensor) {
    return tensor.scalar_type() == at::kHalf || tensor.scalar_type() == at::kBFloat16;
}

namespace in_float_detail {

using at::Tensor;

inline Tensor convert(const Tensor &tensor, at::ScalarType from, at::ScalarType to) {
    return tensor.defined() && tensor.scalar_type() == from ? tensor.to(to) : tensor;
}
inline std::vector<Tensor> convert(at::TensorList list, at::ScalarType from, at::ScalarType to) {
    std::vector<Tensor> converted;
    for (const Tensor &tensor : list) {
        converted.push_back(convert(tensor, from, to));
    }
    return converted;
}
inline std::optional<Tensor> convert(const std::optional<Tensor> &tensor, at::ScalarType from, at::ScalarType to) {
    return tensor ? convert(*tensor, from, to) : tensor;
}
template<class... Tensors>
std::tuple<Tensors...> convert(const std::tuple<Tensors...> &all, at::ScalarType from, at::ScalarType to) {
    return std::apply([&](const auto &...each) { return std::tuple<Tensors...>(convert(each, from, to)...); }, all);
}
template<class T> const T &convert(const T &other, at::ScalarType, at::ScalarType) {
    return other;
}

// Whether tensors have this dtype; true of what is no tensor.
inline bool are(at::ScalarType type, const Tensor &tensor) {
    return !tensor.defined() || tensor.scalar_type() == type;
}
inline bool are(at::ScalarType type, at::TensorList list) {
    return std::all_of(list.begin(), list.end(), [&](const Tensor &tensor) { return are(type, tensor); });
}
inline bool are(at::ScalarType type, const std::optional<Tensor> &tensor) {
    return !tensor || are(type, *tensor);
}
template<class T> bool are(at::ScalarType, const T &) {
    return true;
}

inline const Tensor &first_of(const Tensor &tensor) {
    return tensor;
}
inline const Tensor &first_of(at::TensorList list) {
    return list[0];
}

}  // namespace in_float_detail

template<auto f> struct InFloat;
template<class Result, class First, class... Rest, Result (*f)(First, Rest...)> struct InFloat<f> {
    static Result call(First first, Rest... rest) {
        using namespace in_float_detail;
        if constexpr (std::is_same_v<First, at::TensorList>) {
            if (first.empty()) {
                return f(first, rest...);
            }
        }
        const at::ScalarType narrow = first_of(first).scalar_type();
        const bool all_narrow = are(narrow, first) && (are(narrow, rest) && ...);
        if (!is_16_bit(first_of(first)) || !all_narrow) {  // f refuses a mixture
            return f(first, rest...);
        }
        return convert(f(convert(first, narrow, at::kFloat), convert(rest, narrow, at::kFloat)...), at::kFloat, narrow);
    }
};

// f, whose first argument is a tensor or a list of them, for 16-bit tensors too; results have the dtype of the first.
template<auto f> constexpr auto in_float = &InFloat<f>::call;

}  // namespace upwell::bridge
