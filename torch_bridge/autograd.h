// What gradients keep of a call until the backward pass.
#pragma once

#include <optional>
#include <string>
#include <tuple>

#include <ATen/core/LegacyTypeDispatch.h>
#include <torch/csrc/autograd/custom_function.h>

#include "operators.h"

namespace upwell::bridge {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// An option as it is kept for the backward pass.
inline int64_t keep(int64_t option) {
    return option;
}
inline std::optional<int64_t> keep(std::optional<int64_t> option) {
    return option;
}
inline std::optional<double> keep(std::optional<double> option) {
    return option;
}
inline std::string keep(std::string_view option) {
    return std::string(option);
}

template<class... Options> void save_options(AutogradContext *context, Options... options) {
    context->saved_data["options"] = std::make_tuple(keep(options)...);
}

// Calls f(options...) with what save_options kept.
template<class... Options, class F> auto with_options(AutogradContext *context, F f) {
    using Kept = std::tuple<decltype(keep(std::declval<Options>()))...>;
    return std::apply(f, context->saved_data["options"].template to<Kept>());
}

inline void save_size(AutogradContext *context, c10::SymInt height, c10::SymInt width) {
    context->saved_data["height"] = std::move(height);
    context->saved_data["width"] = std::move(width);
}

inline std::array<c10::SymInt, 2> saved_size(AutogradContext *context) {
    return {context->saved_data["height"].toSymInt(), context->saved_data["width"].toSymInt()};
}

}  // namespace upwell::bridge
