// Gradients of the operators in terms of the operators, so that backward passes are operators too and what is linear
// can be differentiated again.
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

// An operator with weights. Op names its three directions: forward, d_value, d_weight.
// Keeps its inputs and nothing else, the value only where the weights' gradient needs it.
template<class Op, class... Options> class Forward : public torch::autograd::Function<Forward<Op, Options...>> {
public:
    static constexpr bool is_traceable = true;

    static at::Tensor forward(AutogradContext *context, const at::Tensor &value, const at::Tensor &weights,
                              Options... options) {
        const at::AutoDispatchBelowADInplaceOrView guard;
        at::Tensor output = Op::forward(value, weights, options...);
        save_options(context, options...);
        save_size(context, value.sym_size(2), value.sym_size(3));
        context->save_for_backward({weights.requires_grad() ? value : at::Tensor(), weights});
        return output;
    }

    static variable_list backward(AutogradContext *context, const variable_list &gradients) {
        variable_list result(2 + sizeof...(Options));
        if (!gradients[0].defined()) {
            return result;
        }
        const variable_list saved = context->get_saved_variables();
        const auto [h, w] = saved_size(context);
        with_options<Options...>(context, [&, h = h, w = w](const auto &...options) {
            if (context->needs_input_grad(0)) {
                result[0] = Op::d_value(gradients[0], saved[1], h, w, options...);
            }
            if (context->needs_input_grad(1)) {
                result[1] = Op::d_weight(gradients[0], saved[0], saved[1], options...);
            }
        });
        return result;
    }
};

// Its d_value, which is linear in d_output and the transpose of the forward operator.
template<class Op, class... Options> class DValue : public torch::autograd::Function<DValue<Op, Options...>> {
public:
    static constexpr bool is_traceable = true;

    static at::Tensor forward(AutogradContext *context, const at::Tensor &d_output, const at::Tensor &weights,
                              c10::SymInt h, c10::SymInt w, Options... options) {
        const at::AutoDispatchBelowADInplaceOrView guard;
        save_options(context, options...);
        context->save_for_backward({weights.requires_grad() ? d_output : at::Tensor(), weights});
        return Op::d_value(d_output, weights, std::move(h), std::move(w), options...);
    }

    static variable_list backward(AutogradContext *context, const variable_list &gradients) {
        variable_list result(4 + sizeof...(Options));
        if (!gradients[0].defined()) {
            return result;
        }
        const variable_list saved = context->get_saved_variables();
        with_options<Options...>(context, [&](const auto &...options) {
            if (context->needs_input_grad(0)) {
                result[0] = Op::forward(gradients[0], saved[1], options...);
            }
            if (context->needs_input_grad(1)) {
                result[1] = Op::d_weight(saved[0], gradients[0], saved[1], options...);
            }
        });
        return result;
    }
};

// A linear operator from one map to another: its gradient is `transpose`, whose gradient is it again.
using Resample = at::Tensor (*)(const at::Tensor &, c10::SymIntArrayRef, std::optional<double>, std::optional<double>);

template<Resample apply_operator, Resample transpose>
class Linear : public torch::autograd::Function<Linear<apply_operator, transpose>> {
public:
    static constexpr bool is_traceable = true;

    static at::Tensor forward(AutogradContext *context, const at::Tensor &input, c10::SymIntArrayRef size,
                              std::optional<double> scale_h, std::optional<double> scale_w) {
        const at::AutoDispatchBelowADInplaceOrView guard;
        at::Tensor output = apply_operator(input, size, scale_h, scale_w);
        save_options(context, scale_h, scale_w);
        save_size(context, input.sym_size(2), input.sym_size(3));
        return output;
    }

    static variable_list backward(AutogradContext *context, const variable_list &gradients) {
        variable_list result(4);
        if (gradients[0].defined()) {
            with_options<std::optional<double>, std::optional<double>>(context, [&](const auto &...scales) {
                result[0] = transpose(gradients[0], saved_size(context), scales...);
            });
        }
        return result;
    }
};

}  // namespace upwell::bridge
